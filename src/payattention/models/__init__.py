"""The networks. Importing this package registers them all."""

from payattention.models import attentive_vgg as _attentive_vgg  # noqa: F401  (registers)
from payattention.models import fast as _fast  # noqa: F401
from payattention.models import gap as _gap  # noqa: F401
from payattention.models import pan as _pan  # noqa: F401
from payattention.models import resnet as _resnet  # noqa: F401
from payattention.models import saoyan as _saoyan  # noqa: F401
from payattention.models import vgg as _vgg  # noqa: F401
from payattention.models.classifier import Classifier, Look, ModelConfig
from payattention.models.registry import Entry, check_model, create_model, entry, list_models
from payattention.models.rewrites.fold import fold
from payattention.models.rewrites.prune import prune
from payattention.models.rewrites.winograd import winograd
from payattention.models.timm_backbones.attach import attach, fetch_pretrained, native_size

__all__ = [
    "Classifier",
    "Entry",
    "Look",
    "ModelConfig",
    "attach",
    "check_model",
    "create_model",
    "entry",
    "fetch_pretrained",
    "fold",
    "list_models",
    "native_size",
    "prune",
    "winograd",
]
