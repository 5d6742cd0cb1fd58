"""A model as one file that other programs run: `export`. It is proved before it is there."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from payattention.attention.maps import overlap
from payattention.attention.normaliser import Normaliser
from payattention.errors import PayAttentionError, UsageError
from payattention.exporting.capture import captured, least_taken, takes_any_size
from payattention.exporting.description import description
from payattention.exporting.int8 import check_calibration, quantise
from payattention.exporting.kinds import check_export, kind_of
from payattention.exporting.onnx import OnnxModel, write_onnx
from payattention.exporting.outputs import (
    LOGITS,
    Outputs,
    map_name,
    names_of,
    outputs_of,
    slim,
    step_of,
    without_scaling,
)
from payattention.exporting.sides import Sides
from payattention.exporting.torch_export import read_program, write_program
from payattention.exporting.trial import Run, check_repeatable, greatest_difference, trials
from payattention.models import Classifier
from payattention.pictures.sources import Source, picture_of
from payattention.system.files import at_home, replacing
from payattention.system.text import first_line
from payattention.weights.unwrapping import unwrapped

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_COMPARED = 32  # images, of int8 and float32


class Format(NamedTuple):
    """How a kind of file is written, and what runs it."""

    write: Callable[["ExportedProgram", dict[str, Any], Path], None]
    runner: Callable[[Path], Run]


FORMATS = {
    "onnx": Format(write_onnx, lambda file: OnnxModel(file.read_bytes()).outputs),
    "torch": Format(write_program, read_program),
}


@dataclass(frozen=True)
class CostOfInt8:
    """What rounding to 8 bits does, on the images that the ranges were taken from.

    Attributes:
        images: How many of them were compared.
        same_class: The share of images that get the same class, 0 ... 1.
        overlap_of_maps: The mass that a map shares with float32's in the mean, 0 ... 1, of the level that moves most;
            None without maps.
    """

    images: int
    same_class: float
    overlap_of_maps: float | None


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: Where.
        kind: A name of `KINDS`.
        outputs: What it gives, by name.
        sides: The pictures that it takes.
        difference: The greatest difference from the model's outputs, as a share of the output's greatest value, over
            all pictures that it was tried with; in float32.
        tried: How many real pictures were among them.
        bytes: The file's size.
        int8: What 8 bits cost; None in float32.
    """

    path: Path
    kind: str
    outputs: tuple[str, ...]
    sides: Sides
    difference: float
    tried: int
    bytes: int
    int8: CostOfInt8 | None = None


def export(
    model: nn.Module,
    path: str | Path,
    *,
    pruned: bool = False,
    folded: bool = False,
    int8: Tensor | None = None,
    size: int | None = None,
    pictures: Sequence[Source] = (),
) -> Exported:
    """Writes a model as one file that ONNX Runtime or PyTorch runs without this package.

    It takes pixels in 0 ... 1 (normalisation is in the graph), any number of pictures at once, and pictures of any size
    where the network does; it gives `logits`, for each level `map_LEVEL`, and `combined`, as `model.joint` makes it of
    the maps. Class names, levels, sizes and preprocessing stand in its metadata.

    Before it is there it is run beside the model, on random pictures and on those that are given: where an output
    differs by more than 1e-4 of its greatest value, and by more than the model's own rounding explains, nothing is
    written.

    Args:
        model: Any classifier here, also one that `payattention.wrap` made, which has no maps to give. It is exported as
            it is in evaluation, on the CPU in float32, and left as it is.
        path: A new file, NAME.onnx or NAME.pt2 (`torch.export.load` reads it).
        pruned: Without parameters that cannot matter (`payattention.prune`), where there are any.
        folded: With batch norms inside the convolutions (`payattention.fold`), where that can be.
        int8: Training images (n, channels, H, W) in [0, 1]: convolutions then multiply in 8 bits, with ranges taken
            from these, a hundred or so; pruned, folded, and for pictures of their size. Of ONNX files.
        size: Side in pixels of the only pictures that it shall take; by default any size, or the model's own.
        pictures: Real pictures to try it with, in any form that `payattention.explain` takes.

    Raises:
        UsageError: What is no classifier; hard attention in training; a file that is there, or of another kind; a
            package of the extra `export` that is missing.
        PayAttentionError: A network that PyTorch or ONNX cannot make a graph of, or whose graph says something else.
    """
    network, file = unwrapped(model), at_home(Path(path))
    kind = kind_of(file)
    check_export(file, kind, int8=int8 is not None)
    if not isinstance(network, Classifier):
        raise UsageError(f"export takes a classifier of payattention; pa.wrap makes one of a {type(network).__name__}")
    _check_decided(network)
    if size is not None:
        network.check_size(size, size)
    if int8 is not None:
        check_calibration(int8)
    seen = [picture_of(picture, channels=network.in_channels) for picture in pictures]
    work = _Work(network, FORMATS[kind], pruned, folded, seen)
    check_repeatable(work.truth, size or network.image_size)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, f"made{file.suffix}")
        sides, difference = work.write(made, size) if int8 is None else work.write_int8(made, int8)
        cost = None if int8 is None else work.cost_of_int8(made, int8)
        with replacing(file) as partial:
            shutil.copyfile(made, partial)
    return Exported(file, kind, names_of(network.levels), sides, difference, len(seen), file.stat().st_size, cost)


def _check_decided(model: Classifier) -> None:
    """Raises UsageError for hard attention that still draws where it looks."""
    if any(isinstance(module, Normaliser) and module.training and not module.soft for module in model.modules()):
        raise UsageError(
            f"this {model.name} is in training, where hard attention draws at random, which no file can: call "
            "model.eval() first"
        )


class _Work:
    """What is exported and how.

    Args:
        model: Which.
        form: Of file.
        pruned: As `export` takes it.
        folded: Likewise.
        pictures: To try it with.
    """

    def __init__(
        self, model: Classifier, form: Format, pruned: bool, folded: bool, pictures: Sequence[Image.Image]
    ) -> None:
        self.model, self.form, self.pictures = model, form, pictures
        self.pruned, self.folded = pruned, folded
        self.truth = outputs_of(model)

    def write(self, file: Path, size: int | None) -> tuple[Sides, float]:
        """For pictures of any size where that can be, else of one; the pictures it takes, and how far it departs."""
        least, greatest = self.model.sizes
        own = size or self.model.image_size
        if size is None and least != greatest:
            step = step_of(self.model)
            side = -(-own // step) * step
            try:
                outputs = without_scaling(self._slim(self.pruned, self.folded))
                return self._proved(outputs, Sides(side, side, step, least), file)
            except PayAttentionError:
                file.unlink(missing_ok=True)  # with one size it may be another matter
        return self._proved(self._slim(self.pruned, self.folded), Sides(own, own), file)

    def write_int8(self, file: Path, images: Tensor) -> tuple[Sides, float]:
        """The same in 8 bits, for pictures of the given images' size; how far it departs before it is rounded."""
        exported = file.with_suffix(".float.onnx")
        sides, difference = self._proved(self._slim(True, True), Sides(*images.shape[2:]), exported)
        quantise(exported, file, images, description(self.model, sides))
        return sides, difference

    def cost_of_int8(self, file: Path, images: Tensor) -> CostOfInt8:
        images, twin = images[:_COMPARED].cpu().float(), OnnxModel(file.read_bytes()).outputs
        with torch.no_grad():
            right, found = self.truth(images), twin(images)
        same = (right[LOGITS].argmax(1) == found[LOGITS].argmax(1)).float().mean()
        names = map(map_name, self.model.levels)
        shared = [fmean(map(overlap, right[name], found[name])) for name in names]
        return CostOfInt8(len(images), float(same), min(shared, default=None))

    def _found(self, program: "ExportedProgram", sides: Sides) -> Sides:
        """What a graph takes that was to take any size."""
        least = least_taken(program, sides, self.model.in_channels) if takes_any_size(program) else sides.height + 1
        if least > sides.height:
            raise PayAttentionError(f"the graph of {self.model.name} takes pictures of some sizes only")
        return replace(sides, least=least)

    def _slim(self, pruned: bool, folded: bool) -> Outputs:
        return outputs_of(slim(self.model, pruned=pruned, folded=folded))

    def _proved(self, outputs: Outputs, sides: Sides, file: Path) -> tuple[Sides, float]:
        program = captured(outputs, sides)
        if sides.step is not None:
            sides = self._found(program, sides)
        self.form.write(program, description(self.model, sides), file)
        batches = trials(self.model, sides, self.pictures)
        return sides, greatest_difference(self.truth, self._opened(file), batches)

    def _opened(self, file: Path) -> Run:
        try:
            return self.form.runner(file)
        except Exception as error:  # of whatever opens it
            raise PayAttentionError(
                f"{self.model.name} cannot be exported: its file does not open ({first_line(error)})"
            ) from None
