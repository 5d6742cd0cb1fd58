"""Post-hoc maps: what is read out of a trained classifier afterwards, to be compared with attention that was trained.

Each method is a function `(model, images, labels=None) -> {name: maps}`: images are raw pixels (n, channels, H, W) in
[0, 1], which pass through the model's own preprocessing; `labels` (n,) are the classes asked for, by default the
predicted ones; maps are (n, h, w), >= 0, one for each layer that the method looked at. A model comes back as it was:
its modes, hooks and gradients.
"""

import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.posthoc.baselines import BASELINES
from payattention.posthoc.cam import (
    activation,
    cam,
    eigen_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    signed_features,
    xgrad_cam,
)
from payattention.posthoc.gradients import (
    gradient,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)
from payattention.posthoc.hooks import Requirement, captum, class_maps, layers, logits_in_passing, relus
from payattention.posthoc.perturbation import ablation_cam, occlusion, rise, score_cam
from payattention.posthoc.transformers import attention_rollout, global_attention, gradient_attention
from payattention.system.names import Registry


class Method(NamedTuple):
    """A method.

    Attributes:
        maps: Its function, `(model, images, labels) -> {name: maps}`.
        title: What tables call it.
        requirements: What it asks for.
        costly: Whether it takes many forward passes.
        of_class: Whether its maps are of the class that is asked for, not the same for every class.
        baseline: What stands in place of the pixels that it takes away, a name of `BASELINES`; None if it takes none.
        caveat: Says in a line what to bear in mind of its maps of some images, if anything.
    """

    maps: Callable[..., Mapping[str, Tensor]]
    title: str
    requirements: tuple[Requirement, ...]
    costly: bool = False
    of_class: bool = True
    baseline: str | None = None
    caveat: Callable[[Classifier, Tensor], str | None] | None = None

    def look(
        self, model: Classifier, images: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Logits (n, C) and maps, in one pass over the pictures where the method itself makes one."""
        with evaluating(model), logits_in_passing(model, images) as seen:
            maps = self.maps(model, images, labels)
            if not seen:
                with torch.no_grad():
                    seen.append(model(images))
        return seen[0], maps

    def missing(self, model: Classifier) -> str | None:
        """Why it cannot run here on that model, in a line; None if it can."""
        return next((line for line in (asks(model) for asks in self.requirements) if line is not None), None)

    def on(self, baseline: str | None) -> "Method":
        """The same on another baseline; as it is for None.

        Raises:
            UsageError: An unknown baseline, or a method that takes no pixels away.
        """
        if baseline is None:
            return self
        BASELINES[baseline]  # refuses an unknown one
        if self.baseline is None:
            able = ", ".join(name for name, method in METHODS.items() if method.baseline is not None)
            raise UsageError(f"{self.title} takes no pixels away, so it has no baseline; those that have: {able}")
        return self._replace(maps=partial(self.maps, baseline=baseline), baseline=baseline)


_FACTS = tomllib.loads(Path(__file__).with_name("methods.toml").read_text(encoding="utf-8"))


def _known(
    maps: Callable[..., Mapping[str, Tensor]],
    *requirements: Requirement,
    caveat: Callable[[Classifier, Tensor], str | None] | None = None,
) -> tuple[str, Method]:
    name = maps.__name__
    return name, Method(maps, requirements=requirements, caveat=caveat, **_FACTS[name])


METHODS: Registry[Method] = Registry(
    "post-hoc method",
    dict(
        (
            _known(activation, layers),
            _known(eigen_cam, layers),
            _known(attention_rollout, global_attention),
            _known(gradient_attention, global_attention),
            _known(cam, class_maps),
            _known(grad_cam, layers),
            _known(grad_cam_plus_plus, layers, caveat=signed_features),
            _known(xgrad_cam, layers),
            _known(hires_cam, layers),
            _known(layer_cam, layers),
            _known(gradient),
            _known(input_x_gradient),
            _known(guided_backprop, relus),
            _known(smooth_grad),
            _known(integrated_gradients, captum),
            _known(score_cam, layers),
            _known(ablation_cam, layers),
            _known(occlusion),
            _known(rise),
        )
    ),
)


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        UsageError: An unknown name.
    """
    return METHODS[name]


def own_maps(model: Classifier, images: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
    """Where a model looks unless a method is named: its attention, or what its post-hoc method reads out of it.

    Args:
        model: In evaluation mode.
        images: (n, channels, H, W), values in [0, 1].
        labels: Of a post-hoc method, the classes asked for (n,); by default the predicted ones.

    Returns:
        By level or layer, (n, h, w).
    """
    if model.posthoc_method is not None:
        return dict(METHODS[model.posthoc_method].maps(model, images, labels))
    with torch.no_grad():
        maps = model.attend(images).maps
    return {level: maps[level] for level in model.levels}


__all__ = [
    "METHODS",
    "Method",
    "ablation_cam",
    "activation",
    "attention_rollout",
    "cam",
    "eigen_cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient",
    "gradient_attention",
    "guided_backprop",
    "hires_cam",
    "input_x_gradient",
    "integrated_gradients",
    "layer_cam",
    "method",
    "occlusion",
    "own_maps",
    "rise",
    "score_cam",
    "smooth_grad",
    "xgrad_cam",
]
