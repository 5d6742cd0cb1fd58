"""Image classifiers that show where they look: trainable attention, its training and its measurement.

Names are imported when they are first used, so that `import payattention` and `payattention --help` stay light.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payattention.data import ImageSet, load_data
    from payattention.errors import PayAttentionError
    from payattention.explaining.explanation import Explanation, explain
    from payattention.models import Classifier, Look, attach, create_model, fold, list_models, prune, winograd
    from payattention.system.machine import computing
    from payattention.weights.checkpoint import load, save
    from payattention.weights.peers import load_peer
    from payattention.weights.warm_start import warm_start

__version__ = "0.1.0"

_HOME = {
    "Classifier": "payattention.models",
    "Explanation": "payattention.explaining.explanation",
    "ImageSet": "payattention.data",
    "Look": "payattention.models",
    "PayAttentionError": "payattention.errors",
    "attach": "payattention.models",
    "computing": "payattention.system.machine",
    "create_model": "payattention.models",
    "explain": "payattention.explaining.explanation",
    "fold": "payattention.models",
    "list_models": "payattention.models",
    "load": "payattention.weights.checkpoint",
    "load_data": "payattention.data",
    "load_peer": "payattention.weights.peers",
    "prune": "payattention.models",
    "save": "payattention.weights.checkpoint",
    "warm_start": "payattention.weights.warm_start",
    "winograd": "payattention.models",
}

__all__ = [
    "Classifier",
    "Explanation",
    "ImageSet",
    "Look",
    "PayAttentionError",
    "attach",
    "computing",
    "create_model",
    "explain",
    "fold",
    "list_models",
    "load",
    "load_data",
    "load_peer",
    "prune",
    "save",
    "warm_start",
    "winograd",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'payattention' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
