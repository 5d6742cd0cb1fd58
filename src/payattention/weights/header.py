"""What a weights file says of its network and its tensors, read without PyTorch: a wrong file is found at once.

Nothing here is believed: what stands in a header was written by others, and is checked for its kind and its range.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from payattention.errors import CheckpointError, damaged, without_maps, without_query
from payattention.system.files import replacing
from payattention.system.names import check_known
from payattention.system.pickles import looks_like_pickle, never_opened
from payattention.system.text import readable
from payattention.system.validation import STRICT, fault, takes

WEIGHTS, CONFIG, RESULT = "model.safetensors", "config.json", "result.json"
KEY = "payattention"
"""Of the configuration among a safetensors file's metadata."""
_LONGEST = 100_000_000  # bytes of a safetensors header, by its specification

_Text = Annotated[str, Field(max_length=200)]
_Option = Annotated[bool | int | float | _Text | None, takes("text, a number, true or false")]


class Saved(BaseModel):
    """A network as `payattention.save` writes it in a file's header; early files do not say all of it.

    Attributes:
        name: Of the network, as `create_model` takes it.
        num_classes: Number of classes.
        width: Factor on its channels.
        options: Its own options.
        pruned: Whether its dead parameters were removed.
        folded: Whether its batch norms were merged into the convolutions before them.
        classes: Names of the classes, or none.
        image_size: Side of the pictures that it was trained on, in pixels.
        crop_mode: How they became squares.
        levels: Names of its maps; None where the file does not say.
        query_dim: Channels of its query; None where the file does not say.
        temperature: What its logits are divided by before they become probabilities.
        backbone: Where the file leaves out a pre-trained backbone's weights, their checksum; else "".
    """

    model_config = STRICT | ConfigDict(frozen=True)

    name: _Text
    num_classes: Annotated[int, Field(ge=2, le=10_000_000)]
    width: Annotated[float, Field(gt=0, le=100)] = 1.0
    options: dict[_Text, _Option] = Field(default_factory=dict)
    pruned: bool = False
    folded: bool = False
    classes: tuple[str, ...]
    image_size: Annotated[int, Field(ge=1, le=10_000)]  # larger pictures are refused by the reader, too
    crop_mode: Literal["center", "squash"] = "center"
    levels: tuple[str, ...] | None = None
    query_dim: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    backbone: _Text = ""

    @model_validator(mode="after")
    def _check_classes(self) -> "Saved":
        if len(self.classes) not in (0, self.num_classes):
            raise ValueError(f"{len(self.classes)} class names for {self.num_classes} classes")
        return self

    def check_has_maps(self) -> None:
        """Raises UsageError for a network that is known to have no maps."""
        if self.levels is not None and not self.levels:
            raise without_maps(self.name)

    def check_has_query(self) -> None:
        """Raises UsageError for a network that is known to have no query."""
        if self.query_dim == 0:
            raise without_query(self.name)

    def check_has_level(self, level: str | None) -> None:
        """Raises UsageError for a level that the network is known not to have."""
        if level is not None and self.levels is not None:
            check_known(f"level of {self.name}", self.levels, level)


@dataclass(frozen=True)
class Stored:
    """A tensor of a file or a network, without its values: shape, and whether it holds fractions."""

    shape: tuple[int, ...]
    floating: bool


@dataclass(frozen=True)
class Header:
    """The head of a weights file: its network as text (JSON), and its tensors by name."""

    text: str
    tensors: Mapping[str, Stored]


def weights_file(path: Path) -> Path:
    """The weights of a run folder, or the file itself.

    Raises:
        CheckpointError: There are none, or it is another kind of file.
    """
    if readable(str(path)) != str(path):
        raise CheckpointError(f"{path}: its path is not UTF-8, from which weights cannot be read; rename it")
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            raise CheckpointError(f"{path}: no {WEIGHTS} in this folder; has its training finished?")
        return path / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{path}: no such run folder or file")
    if path.suffix != ".safetensors":
        raise never_opened(path) if looks_like_pickle(path) else CheckpointError(f"{path}: not a .safetensors file")
    return path


def tensors_of(file: Path) -> tuple[dict[str, Any], dict[str, Stored]]:
    """The metadata of any safetensors file, and its tensors, none of which is read.

    Raises:
        CheckpointError: Not a whole safetensors header.
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= min(_LONGEST, file.stat().st_size - 8):
                raise ValueError("its header's length is wrong")
            found = json.loads(opened.read(length))
        metadata = dict(found.pop("__metadata__", {}))
        tensors = {
            name: Stored(tuple(map(int, value["shape"])), str(value["dtype"]).startswith(("F", "BF")))
            for name, value in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError) as error:
        raise damaged(file, error) from None
    return metadata, tensors


def header_of(file: Path) -> Header:
    """The head of a weights file.

    Raises:
        CheckpointError: Not a whole safetensors header, or not one of this package's.
    """
    metadata, tensors = tensors_of(file)
    text = metadata.get(KEY)
    if text is None:
        raise CheckpointError(
            f"{file}: no payattention configuration in its header, as pa.save writes it; weights of another network "
            "need its name, such as timm:NAME, and are named beside it as --weights"
        )
    return Header(str(text), tensors)


def saved(path: Path) -> Saved:
    """The network that the weights of a run folder, or a weights file, are of.

    Raises:
        CheckpointError: As `weights_file` and `header_of` do, or a network described in a wrong way.
    """
    file = weights_file(path)
    return described(header_of(file).text, str(file))


def described(text: str, where: str) -> Saved:
    """A network from the text of a header.

    Raises:
        CheckpointError: No JSON, something missing, or a value of another kind or out of range.
    """
    try:
        return Saved.model_validate_json(text)
    except ValidationError as error:
        raise CheckpointError(f"{where}: {wrong_with(error)}") from None


def keep_temperature(path: Path, temperature: float) -> Path:
    """Writes a temperature into the header of a run folder's weights, or of a weights file, in one step.

    The tensors stay as they are, byte by byte.

    Returns:
        The file.

    Raises:
        CheckpointError: As `saved` does.
        OSError: It cannot be written there.
    """
    network, file = saved(path), weights_file(path).resolve()
    text = network.model_copy(update={"temperature": temperature}).model_dump_json()
    with file.open("rb") as opened, replacing(file) as partial, partial.open("wb") as new:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        header["__metadata__"][KEY] = text
        written = json.dumps(header, separators=(",", ":")).encode()
        written += b" " * (-len(written) % 8)  # the format has the tensors begin at a multiple of 8
        new.write(len(written).to_bytes(8, "little") + written)
        shutil.copyfileobj(opened, new)
    return file


def wrong_with(error: ValidationError) -> str:
    """What is wrong with a header, in one line."""
    first = error.errors()[0]
    if not first["loc"] and first["type"] != "value_error":  # it is no JSON, or no table
        return "the configuration in its header is damaged"
    return f"in its configuration, {fault(error, Saved)}"
