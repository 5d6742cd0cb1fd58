"""Weakly supervised segmentation: do a classifier's maps find the objects, which nobody showed it? (paper, 5.4, A.4)

Each picture is seen whole, its shorter side scaled to `size`. The levels' maps become one by the model's rule
(`payattention.attention.combination`), which is enlarged to the picture's own size, brought to 0 ... 1, and cut into
object and background. All results are in per cent, and higher is better:

- the Jaccard index at Otsu's threshold, the paper's measure: the mean over pictures, by class and of all; and *pooled*,
  the intersections of all pictures over their unions, where large objects weigh more;
- the Jaccard index at the best threshold, which is chosen on other pictures (`tune_on`);
- the pixel average precision, which needs no threshold. Pictures without an object do not count in it.

Several objects in a picture count as one. Where there is none, an empty mask scores 100 and any other 0. Beside the
model's maps stand two that never saw the picture: everything, and a Gaussian about the centre.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import stretched, upsampled
from payattention.data import ImageSet
from payattention.data.masked import MaskedPictures, of_images, read_masked
from payattention.data.same_classes import known_part, same_class
from payattention.data.samples import Sample
from payattention.errors import DataError, UsageError, broken_map, none_of
from payattention.evaluation.comparison.trivial import all_ones, centred_gaussian
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision
from payattention.evaluation.metrics.overlap import STEPS, best_threshold, jaccard_curve
from payattention.evaluation.refinement import check_installed, refined
from payattention.evaluation.result import ClassResult
from payattention.explaining.guided_filter import guided
from payattention.explaining.inputs import as_input, check_can_explain
from payattention.explaining.methods import GUIDED
from payattention.models import Classifier
from payattention.models.class_activation_map import ClassMapped
from payattention.models.evaluating import evaluating
from payattention.pictures.channels import with_channels
from payattention.posthoc import own_maps
from payattention.system.machine import chosen_device
from payattention.system.names import check_known
from payattention.system.progress import Meter
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent
from payattention.system.workers import computed_in_order

COMBINED, REFINED, AT_EDGES = "combined", "combined, refined", "combined, guided"
CRF = "crf"
TRIVIAL = ("all ones", "centred Gaussian")
_CLASSES = 12  # at most so many are reported one by one


@dataclass(frozen=True)
class Found:
    """How well one kind of map finds the objects, in per cent.

    Attributes:
        jaccard: Mean Jaccard index at Otsu's threshold.
        class_jaccard: The same by class.
        pooled: Intersection over union of all pictures' pixels together, at Otsu's threshold.
        class_pooled: The same by class.
        area: Mean share of the picture that Otsu's mask takes; the objects' is the all-ones map's `jaccard`, where
            every picture has one.
        threshold: Of a map in 0 ... 1, the best on other pictures; None if none were given.
        tuned: Mean Jaccard index at that threshold.
        precision: Mean pixel average precision; None for masks without a map, and without any object.
    """

    jaccard: float
    class_jaccard: Mapping[str, float]
    pooled: float
    class_pooled: Mapping[str, float]
    area: float
    threshold: float | None
    tuned: float | None
    precision: float | None


@dataclass(frozen=True, kw_only=True)
class Segmentation(ClassResult):
    """What `segment` measures.

    Attributes:
        model: The network's name.
        size: The shorter side of the pictures as the model saw them, in pixels.
        class_counts: Of each class.
        empty: How many of them hold no object.
        class_map: Of which class a class activation map was: "predicted" or "true".
        tuned_on: On which pictures the thresholds were chosen; "" for none.
        maps: The results by kind of map; the last two kinds are trivial.
        left_out: Pictures that could not be measured, a line each.
    """

    model: str
    size: int
    class_counts: Mapping[str, int]
    empty: int
    class_map: str
    tuned_on: str
    maps: Mapping[str, Found]
    left_out: tuple[str, ...]

    def report(self) -> Iterator[Table | str]:
        title = (
            f"{', '.join(filter(None, (self.data, self.split)))}: {self.count:,} pictures seen at {self.size} px, "
            f"{self.empty:,} without an object; in %"
        )
        best = ("Jaccard, best threshold", "threshold") if self.tuned_on else ()
        rows = [
            (kind, f.jaccard, f.pooled, f.area, *(f.tuned, f.threshold)[: len(best)], f.precision)
            for kind, f in self.maps.items()
        ]
        yield Table(("map", "Jaccard, Otsu", "pooled", "area", *best, "pixel average precision"), rows, title)
        if 1 < len(self.class_counts) <= _CLASSES:
            by_class = [(kind, *found.class_jaccard.values()) for kind, found in self.maps.items()]
            yield Table(("map", *self.class_counts), by_class, "Jaccard, Otsu, by class")
        if self.tuned_on:
            yield f"the best thresholds were chosen on {self.tuned_on}"


@dataclass(frozen=True)
class Score:
    """One mask beside one object: `area` is the mask's share of the picture; intersection and union are in pixels.

    `precision` is None for a mask without a map, and without an object.
    """

    jaccard: float
    intersection: int
    union: int
    area: float
    precision: float | None
    curve: NDArray[np.float64] | None
    """Jaccard index at every threshold (`payattention.evaluation.metrics.overlap`); None for a mask without a map."""


@dataclass(frozen=True)
class Segmented:
    """One picture.

    Attributes:
        name: What it is called in messages.
        class_name: Its class.
        picture: RGB, at its own size.
        truth: Its object, bool (H, W).
        heat: The combined map, guided where that is asked for, float32 (H, W) in 0 ... 1.
        masks: By kind of map, bool (H, W): where it lies above Otsu's threshold.
        scores: By kind of map.
    """

    name: str
    class_name: str
    picture: Image.Image
    truth: NDArray[np.bool_]
    heat: NDArray[np.float32]
    masks: Mapping[str, NDArray[np.bool_]]
    scores: Mapping[str, Score]


def segment(
    model: Classifier,
    data: MaskedPictures | ImageSet,
    *,
    size: int | None = None,
    tune_on: MaskedPictures | ImageSet | None = None,
    true_class: bool = False,
    refine: bool | str = False,
    each: Callable[[Segmented], None] | None = None,
    console: Console | None = None,
) -> Segmentation:
    """Measures how well a model's maps find the objects of a data set.

    Args:
        model: A model with maps.
        data: Pictures with masks, at their own sizes; or a loaded set, whose pictures are squares of one size. Those of
            classes that the model does not know are left out, unless it knows none of them.
        size: Shorter side of the pictures as the model sees them, in pixels; by default that of its training. The
            paper's is 32.
        tune_on: Other pictures, on which the best threshold of each kind of map is chosen.
        true_class: For a network with class activation maps (`vgg_gap`): the map of the true class, as the authors
            took it, in place of the predicted one's.
        refine: What adds a row of the combined map refined: "guided" (`payattention.explaining.guided_filter`), or of
            its mask, "crf" or True (`payattention.evaluation.refinement`).
        each: Called with every picture, when it is measured.
        console: Where a progress bar is shown.

    Raises:
        UsageError: A model without maps, a set without masks, or an option that does not fit the model.
        DataError: Not one picture can be measured.
    """
    pictures, difference = known_part(_as_masked(data), model.classes)
    others = None if tune_on is None else known_part(_as_masked(tune_on), model.classes)[0]
    shown = {own.classes[sample.label] for own in (pictures, others) if own is not None for sample in own.samples}
    check_can_segment(model, sorted(shown), size=size, true_class=true_class, refine=refine)
    watch, device = Stopwatch(), chosen_device()
    look = _Look(model, size or model.image_size, true_class, guided=refine == GUIDED)
    left_out, tally = list(pictures.problems), _Tally()
    with evaluating(model, device):
        tuned = [] if others is None else [done.scores for done in _through(look, others, [], console, "tuning")]
        for done in _through(replace(look, crf=refine in (True, CRF)), pictures, left_out, console, "measuring"):
            tally.add(done)
            if each is not None:
                each(done)
    return Segmentation(
        model=model.name,
        data=data.name,
        split=data.split,
        source=data.source,
        size=look.size,
        count=len(tally.classes),
        class_counts={name: tally.classes.count(name) for name in data.classes if name in tally.classes},
        empty=tally.empty,
        class_map="true" if true_class else "predicted",
        tuned_on="" if tune_on is None else f"{len(tuned)} pictures of {tune_on.name}, {tune_on.split}",
        maps=tally.found(_thresholds(tuned)),
        left_out=tuple(left_out),
        provenance=watch.provenance(device),
        **asdict(difference),
    )


def check_can_segment(
    model: Classifier,
    classes: Iterable[str] = (),
    *,
    size: int | None = None,
    true_class: bool = False,
    refine: bool | str = False,
) -> None:
    """Raises UsageError for what a model cannot do, with pictures of some classes if they are known already."""
    check_can_explain(model, size)
    if refine and refine is not True:
        check_known("refinement", (GUIDED, CRF), refine)
    if refine in (True, CRF):
        check_installed()
    if not true_class:
        return
    if not isinstance(model, ClassMapped) and model.posthoc_method is None:
        raise UsageError(
            f"{model.name} has one map whatever the class: only vgg_gap and fast_gap have one of the true class, and "
            "classifiers that were wrapped"
        )
    if not model.classes:
        raise UsageError(f"{model.name} knows its classes by number only, and the true class has a name")
    for name in classes:
        if same_class(name, model.classes) is None:
            raise UsageError(f"the model has no class {name!r}, so no map of it; take that of the predicted class")


@dataclass(frozen=True)
class _Look:
    """How a model looks at pictures."""

    model: Classifier
    size: int
    true_class: bool
    guided: bool = False
    crf: bool = False

    @torch.inference_mode(False)
    def maps(self, picture: Image.Image, class_name: str) -> dict[str, Float[Tensor, "1 h w"]]:
        """The combined map and, where there are several, each level's; on their own grids."""
        device = self.model.device
        images = as_input(self.model, picture, self.size).to(device)
        levels = self._of_true_class(images, class_name) if self.true_class else own_maps(self.model, images)
        return {COMBINED: self.model.combined(levels), **(levels if len(levels) > 1 else {})}

    def _of_true_class(self, images: Tensor, class_name: str) -> dict[str, Tensor]:
        label = torch.tensor([same_class(class_name, self.model.classes)], device=images.device)
        if self.model.posthoc_method is not None:
            return own_maps(self.model, images, label)
        assert isinstance(self.model, ClassMapped)  # check_can_segment
        with torch.no_grad():
            return {self.model.levels[0]: self.model.class_map(images, label).relu()}


def _through(
    look: _Look, data: MaskedPictures, left_out: list[str], console: Console | None, what: str
) -> Iterator[Segmented]:
    """Measures picture by picture; what cannot be measured goes to `left_out`.

    Raises:
        DataError: At the end, if that was every picture.
    """
    measured = 0

    def attempted(sample: Sample) -> Segmented | str:
        try:
            return _segmented(look, sample, data.classes[sample.label])
        except DataError as error:
            return str(error)

    with Meter(what, len(data), console, unit="pictures") as meter:
        for done in computed_in_order(attempted, data.samples, look.model.device):
            if isinstance(done, str):
                left_out.append(done)
            else:
                measured += 1
                yield done
            meter.advance(1)
    if not measured:
        reason = left_out[0] if left_out else "there are none"
        raise none_of(f"the {len(data):,} pictures of {data.name}", "measured", reason)


def _segmented(look: _Look, sample: Sample, class_name: str) -> Segmented:
    picture, truth = read_masked(sample, look.model.in_channels)
    shown = with_channels(picture, 3)
    heats = _heats(look, picture, class_name, sample.name)
    if look.guided:
        followed = torch.from_numpy(guided(shown, heats[COMBINED].numpy()))
        heats = {COMBINED: heats[COMBINED], AT_EDGES: followed, **heats}
    masks = {kind: otsu_masks(heat[None])[0].numpy() for kind, heat in heats.items()}
    maps = {kind: heat.numpy() for kind, heat in heats.items()}
    if look.crf:
        masks[REFINED] = refined(picture, masks[COMBINED])
    scores = {kind: _score(mask, truth, maps.get(kind)) for kind, mask in masks.items()}
    return Segmented(sample.name, class_name, shown, truth, maps[AT_EDGES if look.guided else COMBINED], masks, scores)


def _heats(look: _Look, picture: Image.Image, class_name: str, name: str) -> dict[str, Float[Tensor, "H W"]]:
    """Every kind of map at the picture's size, in 0 ... 1."""
    own = (picture.height, picture.width)
    heats = {}
    for kind, level in look.maps(picture, class_name).items():
        if not level.isfinite().all():
            raise broken_map(look.model.name, kind, name)
        heats[kind] = stretched(upsampled(level.float().cpu(), own))[0]
    everything, centre = TRIVIAL
    return {**heats, everything: all_ones(1, *own)[0], centre: stretched(centred_gaussian(1, *own))[0]}


def _score(mask: NDArray[np.bool_], truth: NDArray[np.bool_], heat: NDArray[np.float32] | None) -> Score:
    masks, truths = (torch.from_numpy(one)[None] for one in (mask, truth))
    precise = heat is not None and truth.any()
    return Score(
        jaccard=jaccard(masks, truths).item(),
        intersection=int((mask & truth).sum()),
        union=int((mask | truth).sum()),
        area=float(mask.mean()),
        precision=pixel_average_precision(torch.from_numpy(heat)[None], truths).item() if precise else None,
        curve=None if heat is None else jaccard_curve(heat, truth),
    )


@dataclass
class _Tally:
    """What was measured so far: each picture's class and scores by kind of map, and how many hold no object."""

    classes: list[str] = field(default_factory=list)
    scores: list[Mapping[str, Score]] = field(default_factory=list)
    empty: int = 0

    def add(self, done: Segmented) -> None:
        self.classes.append(done.class_name)
        self.scores.append(done.scores)
        self.empty += not done.truth.any()

    def found(self, thresholds: Mapping[str, int]) -> dict[str, Found]:
        """All pictures together, by kind of map."""
        classes = np.array(self.classes)
        return {
            kind: _found([scores[kind] for scores in self.scores], classes, thresholds.get(kind))
            for kind in self.scores[0]
        }


def _thresholds(scores: Sequence[Mapping[str, Score]]) -> dict[str, int]:
    """The best threshold of each kind of map, in hundredths."""
    curves: dict[str, list[NDArray[np.float64]]] = {}
    for own in scores:
        for kind, score in own.items():
            if score.curve is not None:
                curves.setdefault(kind, []).append(score.curve)
    return {kind: best_threshold(own) for kind, own in curves.items()}


def _found(scores: Sequence[Score], classes: NDArray[Any], threshold: int | None) -> Found:
    jaccards, intersections, unions = (
        np.array([getattr(score, name) for score in scores]) for name in ("jaccard", "intersection", "union")
    )
    curves = [score.curve for score in scores if score.curve is not None]
    precisions = [score.precision for score in scores if score.precision is not None]
    by_class = {str(name): classes == name for name in dict.fromkeys(classes)}
    return Found(
        jaccard=per_cent(jaccards.mean(), 2),
        class_jaccard={name: per_cent(jaccards[own].mean(), 2) for name, own in by_class.items()},
        pooled=_pooled(intersections, unions),
        class_pooled={name: _pooled(intersections[own], unions[own]) for name, own in by_class.items()},
        area=per_cent(fmean(score.area for score in scores), 2),
        threshold=None if threshold is None else threshold / STEPS,
        tuned=None if threshold is None else per_cent(fmean(float(curve[threshold]) for curve in curves), 2),
        precision=per_cent(fmean(precisions), 2) if precisions else None,
    )


def _pooled(intersections: NDArray[np.int64], unions: NDArray[np.int64]) -> float:
    return per_cent(intersections.sum() / unions.sum(), 2) if unions.sum() else 100.0


def _as_masked(data: MaskedPictures | ImageSet) -> MaskedPictures:
    return of_images(data) if isinstance(data, ImageSet) else data
