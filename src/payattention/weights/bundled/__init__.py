"""The models that come with the package: NAME.safetensors, each with a card, NAME.json, that says what it is.

Both are written by `experiments/weights.py`, together.
"""

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from payattention.errors import CheckpointError
from payattention.system.extras import missing
from payattention.system.validation import STRICT

FOLDER = Path(__file__).parent
DEFAULTS = ("efficientnet_lite0_att2.caltech101", "vgg_att2_concat_pc.cifar10")
"""Where no model is named, the first of these whose package is installed is taken; the last one needs none."""
CURE = "install payattention again"


class Card(BaseModel):
    """What a bundled model is.

    Attributes:
        name: By which `payattention.load` and every verb take it.
        summary: In a line.
        needs: The module that brings the backbone's weights, which the file leaves out; None where it holds all.
        error: On its data set's test split, per cent, as it lies in the file.
        size: Of the file, in bytes.
        sha256: Of the file.
        licence: Of the weights, and of the pictures that they were trained on.
        trained: How: data, recipe, seed, command, versions, device, time, and the error before it was rounded.
        measured: What was measured of the file, each with its command.
    """

    model_config = STRICT | ConfigDict(frozen=True, extra="forbid")

    name: str
    summary: str
    needs: str | None
    error: Annotated[float, Field(ge=0, le=100)]
    size: Annotated[int, Field(ge=1)]
    sha256: str
    licence: dict[str, str]
    trained: dict[str, Any]
    measured: dict[str, Any]

    @property
    def lacks(self) -> str | None:
        """Which package is missing, in a line; None where the model can be loaded."""
        return None if self.needs is None else missing(self.name, self.needs)


def bundled(pattern: str = "*") -> list[str]:
    """Names of the bundled models that match a glob pattern, in alphabetical order."""
    names = {file.stem for kind in ("*.safetensors", "*.json") for file in FOLDER.glob(kind)}  # one may be missing
    return sorted(name for name in names if fnmatchcase(name, pattern))


def card(name: str) -> Card:
    """The card of a bundled model.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    file = FOLDER / f"{name}.json"
    try:
        return Card.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        raise CheckpointError(f"{file}: missing or damaged; {CURE}") from None


def weights_of(name: str) -> Path:
    """The weights of a bundled model, whole and usable.

    Raises:
        CheckpointError: They are not as they were written, or need a package that is not installed.
    """
    file, known = FOLDER / f"{name}.safetensors", card(name)
    if not file.is_file():
        raise CheckpointError(f"{file}: missing; {CURE}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != known.sha256:
        raise CheckpointError(f"{file}: damaged, its checksum is not the one on its card; {CURE}")
    if known.lacks:
        raise CheckpointError(known.lacks)
    return file


def default() -> str:
    """The bundled model that is taken where none is named."""
    return next(name for name in DEFAULTS if card(name).lacks is None)


def better_than(name: str) -> str | None:
    """The bundled model that would be the default if its package were installed; None where the default is the best."""
    return None if name == DEFAULTS[0] else DEFAULTS[0]


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """Names of models that match a glob pattern, in alphabetical order.

    Args:
        pattern: Such as `"vgg_att*"`.
        pretrained: Trained ones that come with the package, for `load`; by default networks, for `create_model`.
    """
    if pretrained:
        return bundled(pattern)
    from payattention.models import list_models as list_networks

    return list_networks(pattern)
