"""Pictures in, explanations out: what a model says they are, and where it looked."""

import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, SupportsIndex, overload

from PIL import Image

from payattention.errors import DataError, UsageError, none_of
from payattention.explaining.explanation import Explanation
from payattention.explaining.explanations import AllByClass, ByClass, Explanations
from payattention.explaining.methods import check_average
from payattention.explaining.request import Request
from payattention.models import Classifier
from payattention.pictures.finding import picture_files
from payattention.pictures.sources import Source, Sources, name_of, picture_of, several
from payattention.system.files import at_home
from payattention.system.machine import chosen_threads
from payattention.system.workers import in_order
from payattention.weights.named import load_trained

Model = Classifier | str | os.PathLike[str]


@overload
def explain(
    model: Model,
    picture: Sources,
    *,
    size: SupportsIndex | None = None,
    target: Literal["all"],
    method: str | None = None,
    baseline: str | None = None,
    scale: str = "own",
    average: str | None = None,
    refine: str | None = None,
) -> ByClass | list[ByClass]: ...


@overload
def explain(
    model: Model,
    picture: Source,
    *,
    size: SupportsIndex | None = None,
    target: str | int | None = None,
    method: str | None = None,
    baseline: str | None = None,
    scale: str = "own",
    average: str | None = None,
    refine: str | None = None,
) -> Explanation: ...


@overload
def explain(
    model: Model,
    picture: Sequence[Source],
    *,
    size: SupportsIndex | None = None,
    target: str | int | None = None,
    method: str | None = None,
    baseline: str | None = None,
    scale: str = "own",
    average: str | None = None,
    refine: str | None = None,
) -> list[Explanation]: ...


def explain(
    model: Model,
    picture: Sources,
    *,
    size: SupportsIndex | None = None,
    target: str | int | None = None,
    method: str | None = None,
    baseline: str | None = None,
    scale: str = "own",
    average: str | None = None,
    refine: str | None = None,
) -> Explanation | list[Explanation] | ByClass | list[ByClass]:
    """Classifies pictures and shows where the model looked.

    A picture is read with the model's channels: as RGB, in grey, or as four bands (`payattention.pictures.channels`).
    The whole picture is seen: it is scaled until its shorter side has `size` pixels, its proportions kept (a picture
    over four times as long as wide is squeezed to that, to bound the cost).

    Args:
        model: A model with attention maps; for most post-hoc methods, any. Or its name, as `pa.load` takes it: a run,
            a file, or a network of another package, such as "torchvision:resnet18", with its pre-trained weights.
        picture: A file, its bytes, an open file, a PIL picture, an array (H, W) or (H, W, 1 | 3 | 4), or a tensor
            (H, W) or (1 | 3 | 4, H, W). Whole numbers are 0 ... 255; floats are 0 ... 1 and are rounded to 8 bits, as
            a file would hold them. Or several: a list of these, a batch (N, H, W, 3) or (N, 3, H, W), or a folder,
            which is looked through to the bottom. Those that are seen at equal sizes are one forward pass.
        size: Pixels, up to `payattention.explaining.inputs.MAX_SIZE`; by default the size of the model's training.
        target: The class whose maps are asked for, by name or number; "all" for each of the five most probable. Only
            where a map belongs to a class: that of `vgg_gap`, and most post-hoc methods'. By default the predicted.
        method: A post-hoc method of `payattention.posthoc.METHODS`; by default the attention that was trained, and
            Grad-CAM of a classifier that was wrapped.
        baseline: Of a method that takes pixels away, what stands in their place: "black", "mean" (the picture's mean
            colour) or "blur"; by default the method's own.
        scale: How overlays colour a map: "own", from its least to its greatest value; "fixed", from 0 to 1.
        average: Over what else the model's own maps are means: "mirror", "scales" or "mirror,scales"
            (`payattention.models.Classifier.averaging`).
        refine: "guided" brings maps at the picture's size to its edges (`payattention.explaining.guided_filter`).

    Returns:
        An explanation, or a list of them in the pictures' order; under "all", dictionaries of them by class. A notebook
        shows each of these as pictures.

    Raises:
        UsageError: A model without maps, a size too small for it, an unknown class, method, baseline or scale, or
            what is no picture.
        DataError: A file that is missing, damaged or not a picture; or maps of it with NaN or infinite values.

    Warns:
        UserWarning: Of a folder, what is not read.
    """
    model = _loaded(model)
    check_average(average, method, target)
    model = model if average is None else model.averaging(average)
    request = Request.of(model, size=size, target=target, method=method, scale=scale, baseline=baseline, refine=refine)
    if (folder := _folder(picture)) is not None:
        found = _read_folder(folder, model.in_channels)
        names, truths = [Path(name_of(file)).stem for file in found], [request.true_class(file) for file in found]
        return _plain(request, request.answered(list(found.values()), names, truths))
    listed = several(picture)
    sources: Sequence[Source] = [picture] if listed is None else listed  # type: ignore[list-item]
    names, pictures = _read(sources, model.in_channels)
    truths = [request.true_class(Path(os.fspath(s))) if isinstance(s, str | os.PathLike) else None for s in sources]
    answers = _plain(request, request.answered(pictures, names, truths))
    return answers[0] if listed is None else answers


def _loaded(model: Model) -> Classifier:
    """A model, or that of a name.

    Raises:
        UsageError: Neither.
    """
    if isinstance(model, str | os.PathLike):
        return load_trained(os.fspath(model))
    if isinstance(model, Classifier):
        return model
    raise UsageError(
        f"explain takes a model, as from pa.load, its name, or pa.wrap(network); got {type(model).__name__}"
    )


def explain_picture(
    model: Classifier, picture: Image.Image, name: str = "picture", *, size: int | None = None, scale: str = "own"
) -> Explanation:
    """`explain` of one picture that is RGB and upright already, by the model's own attention."""
    request = Request.of(model, size=size, scale=scale)
    return request.answered([picture], [name])[0][""]


def _plain(request: Request, answers: list[ByClass]) -> "list[Explanation] | list[ByClass]":
    """Without the dictionaries where each has one explanation."""
    if request.of_all:
        return AllByClass(answers)
    return Explanations(next(iter(by_class.values())) for by_class in answers)


def _read(sources: Sequence[Source], channels: int) -> tuple[list[str], list[Image.Image]]:
    """Names and pictures; one without a name goes by its number."""
    own = [name_of(source) for source in sources]
    names = [name if name or len(own) == 1 else f"picture-{place}" for place, name in enumerate(own, 1)]
    places = range(len(names))

    def read(place: int) -> Image.Image:
        return picture_of(sources[place], names[place], channels=channels)

    pictures = list(in_order(read, places, chosen_threads()))
    return [Path(name).stem or "picture" for name in names], pictures


def _read_folder(folder: Path, channels: int) -> dict[Path, Image.Image]:
    """What of a folder can be read.

    Raises:
        DataError: Nothing.
    """
    named = picture_files([folder])
    files, left_out = list(named.files), list(named.left_out.values())
    pictures: dict[Path, Image.Image] = {}
    for file, read in zip(
        files, in_order(partial(_picture_or_problem, channels=channels), files, chosen_threads()), strict=True
    ):
        if isinstance(read, Image.Image):
            pictures[file] = read
        else:
            left_out.append(str(read))
    if not pictures:
        raise none_of("the pictures", "read", left_out[-1])
    if left_out:
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        warnings.warn(f"left out: {left_out[0]}{more}", stacklevel=3)
    return pictures


def _picture_or_problem(file: Path, channels: int) -> Image.Image | DataError:
    try:
        return picture_of(file, channels=channels)
    except DataError as error:
        return error


def _folder(picture: Sources) -> Path | None:
    if not isinstance(picture, str | os.PathLike):
        return None
    path = at_home(Path(os.fspath(picture)))
    return path if path.is_dir() else None
