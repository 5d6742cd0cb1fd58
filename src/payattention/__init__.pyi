from .data.imageset import ImageSet as ImageSet
from .data.load import load_data as load_data
from .errors import PayAttentionError as PayAttentionError
from .explaining.corpus.reading import read_maps as read_maps
from .explaining.explain import explain as explain
from .explaining.explanation import Explanation as Explanation
from .exporting.export import export as export
from .models.classifier import Classifier as Classifier
from .models.classifier import Look as Look
from .models.registry import create_model as create_model
from .models.rewrites.fold import fold as fold
from .models.rewrites.prune import prune as prune
from .models.rewrites.winograd import winograd as winograd
from .models.timm_backbones.attach import attach as attach
from .models.wrapped import Wrapped as Wrapped
from .models.wrapped import wrap as wrap
from .runs.sharing import push_to_hub as push_to_hub
from .runs.sharing import save_pretrained as save_pretrained
from .system.machine import computing as computing
from .weights.bundled import list_models as list_models
from .weights.checkpoint import save as save
from .weights.named import load as load
from .weights.peers import load_peer as load_peer
from .weights.warm_start import warm_start as warm_start

__version__: str
