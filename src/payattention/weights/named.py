"""A model as a user names it: a run folder or a file, a network of another package, a script's function, or a Hub's.

    runs/photos                 a run folder, or a .safetensors file that pa.save wrote
    vgg_att2_concat_pc.cifar10  a model that comes with the package
    timm:resnet50               a network with its own classifier: fresh, with pre-trained weights, or those of a file
    torchvision:resnet18        the same of torchvision
    transformers:FOLDER         an image classifier as transformers' save_pretrained writes it, or its name on the Hub
    script.py:make_model        a function without arguments that returns an nn.Module, or one that is wrapped already
    hf-hub:user/name@revision   a model of this package on the Hugging Face Hub, fetched when it is first asked about

A file or a folder that is there goes before everything else of its name. Whatever can be told of a name is told before
PyTorch is imported; the model is made by `load`.
"""

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from payattention.errors import CheckpointError, UsageError
from payattention.system.files import at_home
from payattention.system.names import unknown
from payattention.system.registered import mentioned, registered
from payattention.system.scripts import called, check_function
from payattention.weights.bundled import FOLDER, bundled, default, weights_of

if TYPE_CHECKING:
    from payattention.models import Classifier
    from payattention.weights.header import Saved
    from payattention.weights.hub import HubName

_PREFIX = re.compile(r"([a-z][\w-]+):(.*)", re.DOTALL)
_ON_THE_HUB = re.compile(r"(?!runs/)\w[\w.-]*/\w[\w.-]*")  # runs/photos is a run that is not there
_SCRIPT = re.compile(r"(.+\.py)(?::(.*))?", re.DOTALL)
_PART = 4  # characters of a bundled model's name that may stand for it
_WEIGHTS_APART = ("timm", "torchvision")
"""Kinds whose networks are fresh unless weights are asked for."""


class NamedModel(ABC):
    """A model that is not made yet.

    Attributes:
        text: What the user wrote.
    """

    text: str

    @property
    @abstractmethod
    def title(self) -> str:
        """What to call it in the name of a folder."""

    @abstractmethod
    def check(self) -> "Saved | None":
        """Raises what can be told without PyTorch; what a saved model says of itself, None for what says nothing."""

    @abstractmethod
    def load(self) -> "Classifier":
        """Makes the model, in evaluation mode, on the CPU."""

    @property
    @abstractmethod
    def run(self) -> Path:
        """The run that it is of.

        Raises:
            UsageError: Of none.
        """

    def check_has_maps(self) -> None:
        """Raises UsageError for a network that is known to have neither maps nor a method that makes some."""
        self.check()

    @abstractmethod
    def check_has_query(self, level: str | None = None) -> None:
        """Raises UsageError for a network that is known to have no query, or no such level."""


class Trained(NamedModel):
    """A model of this package, whose file says of itself what it is: its weights are what a training may begin with."""

    @abstractmethod
    def check(self) -> "Saved": ...

    def check_has_maps(self) -> None:
        self.check().check_has_maps()

    def check_has_query(self, level: str | None = None) -> None:
        saved = self.check()
        saved.check_has_query()
        saved.check_has_level(level)


@dataclass(frozen=True)
class SavedModel(Trained):
    """A run folder, or a file of a model."""

    path: Path

    @property
    def text(self) -> str:  # type: ignore[override]
        return str(self.path)

    @property
    def title(self) -> str:
        return self.path.resolve().name if self.path.is_dir() else self.path.stem

    def check(self) -> "Saved":
        from payattention.weights.header import saved

        return saved(self.path)

    @property
    def run(self) -> Path:
        return self.path

    def load(self) -> "Classifier":
        from payattention.weights.checkpoint import load

        return load(self.path)


@dataclass(frozen=True)
class HubModel(Trained):
    """A model on the Hugging Face Hub; what is asked of it is asked of its weights, once they are fetched."""

    name: "HubName"

    @property
    def text(self) -> str:  # type: ignore[override]
        return str(self.name)

    @property
    def title(self) -> str:
        return re.sub(r"\W+", "-", self.text.partition(":")[2])

    @cached_property
    def _fetched(self) -> SavedModel:
        from payattention.weights.hub import fetched_weights

        return SavedModel(fetched_weights(self.name))

    def check(self) -> "Saved":
        with self._named():
            return self._fetched.check()

    @property
    def run(self) -> Path:
        raise without_run(self.text)

    def load(self) -> "Classifier":
        with self._named():
            return self._fetched.load()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Says of what is wrong with a file in the cache where it is from."""
        try:
            yield
        except CheckpointError as error:
            raise error if str(error).startswith(self.text) else CheckpointError(f"{self.text}: {error}") from None


@dataclass(frozen=True)
class Bundled(SavedModel):
    """A model that comes with the package.

    Attributes:
        name: Of the model.
    """

    name: str

    @classmethod
    def of(cls, name: str) -> "Bundled":
        return cls(FOLDER / f"{name}.safetensors", name)

    @property
    def text(self) -> str:  # type: ignore[override]
        return self.name

    @property
    def title(self) -> str:
        return self.name

    def check(self) -> "Saved":
        weights_of(self.name)
        return super().check()

    @property
    def run(self) -> Path:
        raise without_run(f"{self.name}, which comes with payattention,")

    def load(self) -> "Classifier":
        weights_of(self.name)
        return super().load()


@dataclass(frozen=True)
class Borrowed(NamedModel):
    """A network that was not made here, used as it is.

    Attributes:
        text: What the user wrote.
        kind: "timm", "torchvision", "transformers", or "script".
        name: What it is called there; of a script, its function.
        script: The file of that function.
        pretrained: Whether its package's pre-trained weights are wanted.
        weights: A file of weights.
        classes: Names of its classes, where they are given.
    """

    text: str
    kind: str
    name: str
    script: Path = Path()
    pretrained: bool = False
    weights: Path | None = None
    classes: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        return re.sub(r"\W+", "-", f"{self.kind}-{Path(self.name).name}").strip("-")

    def check(self) -> None:
        if self.kind == "script":
            check_function(self.script, self.name)
        elif not self.name:
            raise UsageError(f"{self.text} names no network: write {self.kind}:NAME")
        elif self.kind in _WEIGHTS_APART:
            _check_known(self.kind, self.name.partition(".")[0], self.name)
        if self.weights is not None and not self.weights.is_file():
            raise CheckpointError(f"{self.weights}: no such file of weights")

    @property
    def run(self) -> Path:
        raise without_run(self.text)

    def check_has_query(self, level: str | None = None) -> None:
        self.check()
        name = f"timm:{self.name}" if self.kind == "timm" else "timm:NAME"
        raise UsageError(
            f"{self.text} is used as it is, and has no query: a model that can be asked is trained, by payattention "
            f"train --model {name} --set compatibility=additive"
        )

    def load(self) -> "Classifier":
        from payattention.models.classifier import ModelConfig
        from payattention.models.wrapped import Wrapped

        self.check()
        model = self._made()
        if isinstance(model, Wrapped):
            model.config = ModelConfig(f"{ModelConfig.OBJECT}{self.text}", model.config.num_classes)
        if self.classes is not None:
            model.classes = self._checked(self.classes, model.config.num_classes)
        if self.kind in _WEIGHTS_APART and not self.pretrained and self.weights is None:
            warnings.warn(
                f"{self.text} has fresh weights, which have learnt nothing: --pretrained (pretrained=True) gives it "
                "those of its package, --weights FILE your own",
                stacklevel=3,
            )
        return model.eval()

    def _made(self) -> "Classifier":
        if self.kind == "timm":
            from payattention.models.borrowed.from_timm import timm_classifier

            return timm_classifier(self.name, self.pretrained, self.weights)
        if self.kind == "torchvision":
            from payattention.models.borrowed.from_torchvision import torchvision_classifier

            return torchvision_classifier(self.name, self.pretrained, self.weights)
        if self.kind == "transformers":
            from payattention.models.borrowed.from_transformers import transformers_classifier

            return transformers_classifier(self.name)
        return _of_script(self.text, called(self.script, self.name))

    def _checked(self, classes: tuple[str, ...], count: int) -> tuple[str, ...]:
        if len(classes) != count or len(set(classes)) != count:
            raise UsageError(
                f"{len(set(classes))} class names are given, and {self.text} has {count} classes: one name for each, "
                "all different"
            )
        return classes


def without_run(what: str) -> UsageError:
    """The error for a model whose run is not here."""
    return UsageError(f"{what} has no run folder, which would tell its data set: name one with --data")


def _of_script(text: str, made: object) -> "Classifier":
    """What a user's function returned, wrapped unless it is already."""
    from torch import nn

    from payattention.models import Classifier
    from payattention.models.wrapped import wrap

    if isinstance(made, Classifier):
        return made
    if isinstance(made, nn.Module):
        return wrap(made)
    what = "nothing (has it a return?)" if made is None else f"something of type {type(made).__name__}"
    raise UsageError(
        f"{text} returned {what}: it is to return an nn.Module that gives logits, or one that pa.wrap made"
    )


KINDS = ("timm", "torchvision", "transformers")
HUB = "hf-hub"


def named(
    text: str | None,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    classes: Sequence[str] | None = None,
) -> NamedModel:
    """What a name stands for; nothing is looked at but whether a file of that name is there.

    Args:
        text: As above; None for the default, which comes with the package.
        pretrained: Whether pre-trained weights are wanted, of timm or torchvision.
        weights: A file of weights for a network of theirs.
        classes: Names of its classes, in order.

    Raises:
        UsageError: An unknown kind, or an option that the kind has not.
    """
    if text is not None and not text.strip():
        raise UsageError("no model is named: name a run folder, a file, or one of payattention models --pretrained")
    there = text is not None and at_home(Path(text)).exists()
    text = default() if text is None else text
    path, prefix, script = at_home(Path(text)), _PREFIX.fullmatch(text), _SCRIPT.fullmatch(text)
    given = {"pretrained": pretrained, "weights": weights is not None}
    kind = prefix[1] if prefix and not there else ""
    if kind not in _WEIGHTS_APART and (extra := [option for option, on in given.items() if on]):
        own = "brings its own weights" if kind or script else "has its own weights"
        raise UsageError(f"--{extra[0]} is for timm:NAME and torchvision:NAME; {text} {own}")
    names = None if classes is None else tuple(classes)
    if kind in KINDS:
        assert prefix is not None
        return Borrowed(text, kind, prefix[2], pretrained=pretrained, weights=weights, classes=names)
    if script and not path.is_dir():
        return Borrowed(text, "script", script[2] or "", at_home(Path(script[1])), classes=names)
    if kind not in ("", HUB):
        raise unknown("kind of model", f"{kind}:", [f"{known}:" for known in (*KINDS, HUB)])
    if names is not None:
        raise UsageError(f"--class-names is for a network that was not made here; {text} knows its own")
    if kind == HUB:
        from payattention.weights.hub import HubName

        return HubModel(HubName.of(text))
    if not there and text in bundled():
        return Bundled.of(text)
    if not there and (meant := _meant(text)):
        raise UsageError(f"{text}: no such run folder or file; did you mean {' or '.join(meant)}?")
    return SavedModel(path)


def saved_model(source: str | Path) -> Trained:
    """A run folder, a file, a model that comes with the package, or one on the Hub: what a training may begin with.

    Raises:
        UsageError: None of these.
    """
    found = named(str(source))
    if not isinstance(found, Trained):
        raise UsageError(f"{source}: name a saved model: a run, a file, one of the package's, or hf-hub:USER/NAME")
    return found


def borrowed(text: str) -> bool:
    """Whether a name stands for a network as it is, where a timm backbone's is for attention on it (`train`)."""
    path = at_home(Path(text))
    of_a_package = text.startswith(("torchvision:", "transformers:")) and not path.exists()
    return of_a_package or bool(_SCRIPT.fullmatch(text))


def of_a_model(text: str) -> bool:
    """Whether a name stands for a model that is there, where another is of a network to make (`benchmark`)."""
    there = at_home(Path(text)).exists() or text.endswith(".safetensors") or text in bundled()
    return there or text.startswith(f"{HUB}:") or borrowed(text)


def load(
    name: str | Path | None = None,
    *,
    pretrained: bool = False,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
) -> "Classifier":
    """Reads a saved model, or makes one that another package names; in evaluation mode, on the CPU.

    Of a saved one, the file's header is checked, and the network that it describes compared with the tensors that are
    there, before any memory is taken; nothing is fetched but the weights that the name says are elsewhere.

    Args:
        name: A run folder or a `.safetensors` file; a model that comes with the package
            (`payattention.list_models(pretrained=True)`); one on the Hugging Face Hub, `hf-hub:USER/NAME` or
            `hf-hub:USER/NAME@REVISION`; or `timm:NAME`, `torchvision:NAME`, `transformers:FOLDER` or
            `script.py:FUNCTION`, whose network is wrapped (`payattention.wrap`). A script is run, as Python runs it. By
            default the model that comes with the package: the better one, where the extra `imagenet` is installed.
        pretrained: Whether a network of timm or torchvision gets its package's pre-trained weights.
        weights: A file of weights for it: safetensors, or a state dict that torch.save wrote.
        classes: The names of its classes, in order; by default those that it comes with.

    Raises:
        UsageError: An unknown name, or an option that does not fit.
        CheckpointError: No weights there, not a payattention file, weights of another network, or such as would have
            to be fetched where there is no network.
        PayAttentionError: A script that raises.

    Warns:
        UserWarning: The network has fresh weights.
    """
    file = None if weights is None else at_home(Path(weights))
    text = None if name is None else str(name)
    return named(text, pretrained=pretrained, weights=file, classes=classes).load()


def load_trained(name: str | Path) -> "Classifier":
    """`load` with trained weights: where a name alone gives fresh ones, its package's pre-trained ones."""
    return named_trained(str(name)).load()


def named_trained(text: str) -> NamedModel:
    """`named`, but a network that would have fresh weights has its package's pre-trained ones."""
    found = named(text)
    return replace(found, pretrained=True) if isinstance(found, Borrowed) and found.kind in _WEIGHTS_APART else found


def _check_known(package: str, architecture: str, name: str) -> None:
    """Raises UsageError for a name that does not stand in a package's source."""
    if architecture not in registered(package) and not mentioned(package, architecture):
        raise unknown(f"{package} network", name, registered(package), f"{package}.list_models() names them all")


def _meant(text: str) -> list[str]:
    """A network's name without its package, a part of a bundled model's or nearly that, or a name on the Hub."""
    networks = [f"{package}:{text}" for package in _WEIGHTS_APART if text.partition(".")[0] in registered(package)]
    whole = [name for name in bundled() if len(text) >= _PART and text.lower() in name]
    user = Path(text).parent
    on_the_hub = [f"{HUB}:{text}"] if _ON_THE_HUB.fullmatch(text) and not at_home(user).exists() else []
    return networks + (whole or get_close_matches(text, bundled(), n=1, cutoff=0.7)) + on_the_hub
