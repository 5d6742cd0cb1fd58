"""Any classifier, as it is: a network that returns logits, in the terms that everything here understands.

`payattention.attach` builds a new classifier on a backbone, whose attention is a part of the answer and is trained.
`wrap` changes nothing: the logits are the network's own, and maps are read out of it afterwards, by the post-hoc
methods of `payattention.posthoc`. See docs/your-classifier.md.
"""

import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.maps import joint
from payattention.errors import UsageError
from payattention.models.classifier import Classifier, Look, ModelConfig
from payattention.models.evaluating import evaluating
from payattention.models.grids import Found, Layout, Tokens, grid_of, last_grid, logits_of
from payattention.models.preprocessing import GivenMeanStd, Unchanged
from payattention.models.timm_backbones.backbone import own_channels, own_size, own_statistics
from payattention.system.names import check_known
from payattention.system.pickles import looks_like_pickle, never_opened

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LEAST = 32
"""Pixels: smaller pictures leave nothing after the five halvings of most networks."""


class Wrapped(Classifier):
    """A classifier of someone else's, with a layer of its that post-hoc maps are made of; `wrap` makes it."""

    posthoc_method: ClassVar[str] = "grad_cam"

    def __init__(
        self, network: nn.Module, found: Found, *, num_classes: int, in_channels: int, image_size: int, any_size: bool
    ) -> None:
        super().__init__(in_channels)
        self.network = network
        self.image_size = image_size
        self.min_size = min(_LEAST, image_size) if any_size else image_size
        self.config = ModelConfig(f"{ModelConfig.OBJECT}{type(network).__name__}", num_classes)
        self._found, self._any_size = found, any_size

    @property
    def name(self) -> str:
        return self.config.name.removeprefix(ModelConfig.OBJECT)

    @property
    def sizes(self) -> tuple[int, int | None]:
        return self.min_size, None if self._any_size else self.image_size

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        return Look(logits_of(self.network(self.prepared(images))))

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        """What the last linear layer sees; the mean of it before a convolution to the classes."""
        seen: dict[int, Tensor] = {}  # by thread: several may run it at once

        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[threading.get_ident()] = inputs[0]

        hook = self._classifier().register_forward_pre_hook(keep)
        try:
            self.network(self.prepared(images))
        finally:
            hook.remove()
        found = seen[threading.get_ident()]
        return found.mean((2, 3)) if found.ndim == 4 else found.flatten(1)

    def _classifier(self) -> nn.Module:
        """The network's last layer with weights, as far as its layers tell."""
        last: nn.Module | None = None
        for module in self.network.modules():
            width = getattr(module, "out_features", None) or getattr(module, "out_channels", None)
            if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and width == self.num_classes):
                last = module
        if last is None:
            raise UsageError(f"{self.name} ends in no linear layer: there are no features before it to take")
        return last

    def joint(self, maps: Mapping[str, Tensor]) -> Tensor:
        return joint(list(maps.values()))

    def check_has_maps(self) -> None:
        raise UsageError(
            f"{self.name} has no attention of its own: take a post-hoc method, such as {self.posthoc_method}, or train "
            "attention on it (pa.attach; payattention train --model timm:NAME)"
        )

    def local_layers(self) -> dict[str, nn.Module]:
        return {self._found.name: self.network.get_submodule(self._found.name)}

    def layout(self, layer: str) -> Layout:
        return self._found.layout


def wrap(
    network: nn.Module,
    *,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | None = None,
    layer: str | None = None,
) -> Wrapped:
    """Any classifier of pictures, for every verb that needs no trained attention.

    What is left out is taken from where the network comes from: timm's configuration of it; for a network of
    torchvision, ImageNet's statistics and classes, which all of its weights are of; for one of transformers, its
    configuration, which does not hold the statistics. A network of nobody's gets its pixels in 0 ... 1 as they are.

    Args:
        network: Takes images (n, 3, H, W) and returns logits (n, C), or an object with `logits`. It becomes a part of
            what is returned, as it is: neither copied nor changed.
        classes: The names of its C classes, in order.
        mean: What is subtracted from each channel of pixels in 0 ... 1.
        std: What each channel is then divided by.
        image_size: Side in pixels of the pictures that it was trained on; 224 where nothing is known.
        layer: Whose features maps are made of, by its name among `network.named_modules()`; by default the last layer
            that has a grid which the logits depend on (`payattention.models.grids`).

    Raises:
        UsageError: What is no classifier of pictures, takes no pictures of that size, has no layer with a grid, or
            statistics that are not known.
    """
    _check_network(network)
    known = _known(network)
    size = image_size or known.image_size
    trial = _Trial(network, size, known.channels)
    if trial.logits.shape[1] < 2:
        raise UsageError(
            f"{type(network).__name__} returns one logit, and a classifier here has one for each of its classes: where "
            "its sign tells two classes apart, let it return torch.cat([-x, x], 1) / 2"
        )
    found = trial.found(layer, known.prefix)
    model = Wrapped(
        network,
        found,
        num_classes=trial.logits.shape[1],
        in_channels=trial.images.shape[1],
        image_size=size,
        any_size=not isinstance(found.layout, Tokens) and trial.takes_any_size(),
    )
    own = _statistics(network, known, mean, std, model.in_channels)
    model.preprocessing = (Unchanged() if own is None else GivenMeanStd(*own)).to(trial.images.device)
    model.classes = _class_names(network, classes, known, model.config.num_classes)
    return model


def _check_network(network: object) -> None:
    """Raises PayAttentionError for what is no network to wrap, with what to do instead."""
    if isinstance(network, str | os.PathLike) and looks_like_pickle(Path(network)):
        raise never_opened(Path(network))
    if isinstance(network, nn.Module) and not isinstance(network, Classifier):
        return
    what = "is a classifier of payattention already" if isinstance(network, Classifier) else "is no nn.Module"
    cure = ""
    if isinstance(network, str | os.PathLike):
        cure = ": pa.load gives networks by name, and those of this package from a file"
    elif isinstance(network, Mapping):
        cure = ": build the network, and give it these weights by its load_state_dict"
    raise UsageError(f"wrap takes a network that returns logits; {type(network).__name__} {what}{cure}")


@dataclass(frozen=True)
class _Known:
    """What can be known of a network by where it comes from.

    Attributes:
        statistics: Mean and deviation of each channel; empty for pixels as they are, None where they cannot be known.
        image_size: Side of its pictures in pixels.
        classes: Its class names, if it has as many classes.
        channels: Of its images.
        prefix: How many of a transformer's tokens stand for no place; None where it does not say.
    """

    statistics: tuple[Sequence[float], Sequence[float]] | None = ((), ())
    image_size: int = 224
    classes: tuple[str, ...] = ()
    channels: int = 3
    prefix: int | None = None


def _known(network: nn.Module) -> _Known:
    home = type(network).__module__.partition(".")[0]
    of = {"timm": _of_timm, "torchvision": _of_torchvision, "transformers": _of_transformers}
    return of[home](network) if home in of else _Known(channels=_first_channels(network))


def _first_channels(network: nn.Module) -> int:
    return next((module.in_channels for module in network.modules() if isinstance(module, nn.Conv2d)), 3)


def _of_timm(network: Any) -> _Known:
    from timm.data import ImageNetInfo, infer_imagenet_subset  # type: ignore[attr-defined]

    subset = infer_imagenet_subset(network)
    names = [name.partition(",")[0] for name in ImageNetInfo(subset).label_descriptions()] if subset else []
    prefix = getattr(network, "num_prefix_tokens", None)
    size = own_size(network)[-1]
    return _Known(own_statistics(network), size, tuple(names), own_channels(network), prefix)


def _of_torchvision(network: Any) -> _Known:
    from torchvision.models import ResNet18_Weights

    size = 299 if type(network).__name__ == "Inception3" else getattr(network, "image_size", 224)
    names = tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    return _Known(_IMAGENET, size, names, _first_channels(network))


def _of_transformers(network: Any) -> _Known:
    size = getattr(network.config, "image_size", 224)
    names = network.config.id2label
    size = size if isinstance(size, int) else size[0]
    return _Known(None, size, tuple(names[k] for k in sorted(names)), _first_channels(network))


class _Trial:
    """A network's answer to one picture of noise, and what that tells of it."""

    def __init__(self, network: nn.Module, size: int, channels: int) -> None:
        self.network = network
        weight = next(network.parameters(), torch.zeros(1))
        noise = torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(0))
        self.images = noise.to(weight.device, weight.dtype)
        self.logits = self._logits(self.images)

    def _logits(self, images: Tensor) -> Tensor:
        name, (height, width) = type(self.network).__name__, images.shape[2:]
        try:
            with evaluating(self.network), torch.no_grad():
                return logits_of(self.network(images))
        except TypeError as error:
            raise UsageError(f"{name} returns no logits (n, C), but {error}") from error
        except (RuntimeError, ValueError, AssertionError) as error:
            why = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"{name} cannot look at a picture of {width}x{height} ({why}): give its own as image_size="
            ) from error

    def found(self, layer: str | None, prefix: int | None) -> Found:
        """The layer that maps are made of."""
        name = type(self.network).__name__
        layers = [own for own, _ in self.network.named_modules() if own]
        if layer is not None:
            check_known(f"layer of {name}", layers, layer)
        with evaluating(self.network):
            if layer is None:
                found = last_grid(self.network, self.images, prefix)
            else:
                found = grid_of(self.network, self.images, layer, prefix)
        if found is None:
            which = "no layer" if layer is None else f"layer {layer}"
            cure = "name one by layer=" if layer is None else "take one that gives features (n, d, h, w) or tokens"
            raise UsageError(f"{which} of {name} gives a grid of features that its logits depend on; {cure}")
        return found

    def takes_any_size(self) -> bool:
        _, channels, side, _ = self.images.shape
        try:
            self._logits(self.images.new_zeros(1, channels, side, side + max(_LEAST, side // 4 // _LEAST * _LEAST)))
        except UsageError:
            return False
        return True


def _statistics(
    network: nn.Module, known: _Known, mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation of each channel; None for pixels as they are."""
    own = known.statistics
    if own is not None and own[0] and len(own[0]) != channels:
        own = None  # a first layer for other channels than its weights were trained on
    if own is None and (mean is None or std is None):
        raise UsageError(
            f"{type(network).__name__} does not say how its pixels are normalised: give mean= and std= "
            "(a number for each channel; of a network of transformers, its image processor's image_mean and image_std)"
        )
    means, stds = (tuple(own[k] if own and given is None else given or ()) for k, given in enumerate((mean, std)))
    if not means and not stds:
        return None
    means, stds = means or (0.0,) * channels, stds or (1.0,) * channels
    if len(means) != channels or len(stds) != channels or min(stds) <= 0:
        raise UsageError(f"mean {means} and std {stds}: a number for each channel ({channels}), std above 0")
    return means, stds


def _class_names(network: nn.Module, classes: Sequence[str] | None, known: _Known, count: int) -> tuple[str, ...]:
    if classes is None:
        return _distinct(known.classes) if len(known.classes) == count else ()
    if isinstance(classes, str):
        raise UsageError(f"classes={classes!r}: a list of names is needed, one for each class")
    if len(classes) != count or len(set(classes)) != count:
        raise UsageError(f"{len(set(classes))} names in classes=: {type(network).__name__} has {count} classes")
    return tuple(classes)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of which none stands twice (ImageNet has two cranes): the later ones are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)
