"""What methods ask of a model and of the machine; each requirement says in a line what is missing."""

from collections.abc import Callable
from importlib.util import find_spec

from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.class_map import ClassMapped

Requirement = Callable[[Classifier], str | None]
"""What is missing, or None."""


def layers(model: Classifier) -> str | None:
    """A model that names the layers to look at."""
    if model.local_layers():
        return None
    return f"{model.name} does not say where its local features are: it has no local_layers()"


def class_maps(model: Classifier) -> str | None:
    """A model whose features are averaged and then classified by one linear layer."""
    if isinstance(model, ClassMapped):
        return None
    return f"CAM is for networks that classify the mean of their features, as vgg_gap does; {model.name} does not"


def torchcam(_: Classifier) -> str | None:
    """The package of that name."""
    return _package("torchcam", "Score-CAM")


def captum(_: Classifier) -> str | None:
    """The package of that name."""
    return _package("captum", "integrated gradients")


def need(model: Classifier, *requirements: Requirement) -> None:
    """Raises UsageError with the first thing that is missing."""
    for requirement in requirements:
        if (missing := requirement(model)) is not None:
            raise UsageError(missing)


def _package(name: str, what: str) -> str | None:
    if find_spec(name) is not None:
        return None
    return f"{what} needs {name}: pip install 'payattention[posthoc]'"
