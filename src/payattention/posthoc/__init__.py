"""Post-hoc maps: what is read out of a trained classifier afterwards, to be compared with attention that was trained.

Each method is a function `(model, images, labels=None) -> {name: maps}`: images are raw pixels (n, channels, H, W) in
[0, 1], which pass through the model's own preprocessing; `labels` (n,) are the classes asked for, by default the
predicted ones; maps are (n, h, w), >= 0, one for each layer that the method looked at. A model comes back as it was:
its modes, hooks and gradients.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from payattention.models import Classifier
from payattention.posthoc.cam import activation, cam, grad_cam, grad_cam_plus_plus
from payattention.posthoc.gradients import integrated_gradients
from payattention.posthoc.hooks import Requirement, captum, class_maps, layers, torchcam
from payattention.posthoc.perturbation import score_cam
from payattention.system.names import Registry


class Method(NamedTuple):
    """A method.

    Attributes:
        maps: Its function.
        title: What tables call it.
        requirements: What it asks for.
        costly: Whether it takes many forward passes.
        of_class: Whether its maps are of the class that is asked for, not the same for every class.
    """

    maps: Callable[[Classifier, Tensor, Tensor | None], Mapping[str, Tensor]]
    title: str
    requirements: tuple[Requirement, ...]
    costly: bool = False
    of_class: bool = True

    def missing(self, model: Classifier) -> str | None:
        """Why it cannot run here on that model, in a line; None if it can."""
        return next((line for line in (asks(model) for asks in self.requirements) if line is not None), None)


METHODS: Registry[Method] = Registry(
    "post-hoc method",
    {
        "activation": Method(activation, "activation", (layers,), of_class=False),
        "cam": Method(cam, "CAM", (class_maps,)),
        "grad_cam": Method(grad_cam, "Grad-CAM", (layers,)),
        "grad_cam_plus_plus": Method(grad_cam_plus_plus, "Grad-CAM++", (layers,)),
        "score_cam": Method(score_cam, "Score-CAM", (layers, torchcam), costly=True),
        "integrated_gradients": Method(integrated_gradients, "integrated gradients", (captum,), costly=True),
    },
)


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        UsageError: An unknown name.
    """
    return METHODS[name]


__all__ = [
    "METHODS",
    "Method",
    "activation",
    "cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "integrated_gradients",
    "method",
    "score_cam",
]
