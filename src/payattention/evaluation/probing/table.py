"""Probing a frozen backbone: each way to read its features, in one table.

The backbone runs once over each set; every row reads the features that it gave. k-NN and the linear probe read what the
network itself sums a picture up in; the others attend to its levels, as `payattention train --freeze` with the same
options does, and so have maps. What is trained sees the training split alone; the test split is measured on once.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import upsampled
from payattention.data import ImageSet
from payattention.data.same_classes import numbered_as
from payattention.evaluation.classify import wilson
from payattention.evaluation.comparison.table import check_has_objects
from payattention.evaluation.comparison.trivial import all_ones, centred_gaussian
from payattention.evaluation.metrics import pixel_average_precision
from payattention.evaluation.metrics.pointing import pointing_hits
from payattention.evaluation.probing.kept import Kept, Pictures, kept
from payattention.evaluation.probing.methods import METHODS, ProbeConfig
from payattention.evaluation.probing.reading import read
from payattention.evaluation.result import ClassResult
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

TOLERANCE = 2
"""Pixels around an object at which a peak still hits, as `payattention compare` counts by default."""
_BATCH = 64  # maps at the masks' size


@dataclass(frozen=True)
class MapQuality:
    """How well maps find the objects, in per cent: mean pixel average precision, and the share of peaks that hit."""

    average_precision: float
    pointing: float


@dataclass(frozen=True)
class Row:
    """One way to read the features.

    Attributes:
        method: A name of `METHODS`.
        title: What it is.
        accuracy: On the test pictures, in per cent.
        interval: Its 95 % confidence interval by Wilson's score, from low to high.
        parameters: How many are trained, without those that provably change nothing.
        seconds: Of training on the features; of k-NN, of finding the neighbours.
        maps: Of its combined map; None for one without maps, and where no pictures have masks.
        settings: By which `train --freeze --set` makes the same network; None for what does not attend.
    """

    method: str
    title: str
    accuracy: float
    interval: tuple[float, float]
    parameters: int
    seconds: float
    maps: MapQuality | None
    settings: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Probe(ClassResult):
    """The table.

    Attributes:
        model: The network's name.
        options: Of `attach`, which all rows share.
        recipe: By which rows are trained.
        trained_on: How many pictures.
        image_size: In pixels.
        backbone_seconds: Of the backbone's passes over all pictures, which the rows share.
        rows: One for each method.
        maps_of: The set and split whose masks the maps were held against; "" for none.
        maps_count: How many of its pictures have an object.
        trivial: What maps that look at nothing reach there.
    """

    model: str
    options: Mapping[str, Any]
    recipe: Mapping[str, Any]
    trained_on: int
    image_size: int
    backbone_seconds: float
    rows: tuple[Row, ...]
    maps_of: str
    maps_count: int
    trivial: Mapping[str, MapQuality]

    def report(self) -> Iterator[Table | str]:
        columns = ("read by", "accuracy %", "95 % interval", "trained parameters", "seconds")
        maps = ("pixel AP %", "pointing %") if self.maps_of else ()
        yield Table((*columns, *maps, "train --freeze --set"), [self._cells(row) for row in self.rows], self.model)
        yield (
            f"{self.data}: {self.trained_on:,} pictures to train on, {self.count:,} of {self.split} to measure on; "
            f"{self.backbone_seconds:,.1f} s for the backbone, which runs once for all rows"
        )
        if self.maps_of:
            trivial = self.trivial.items()
            at_nothing = (f"{name} {found.average_precision:.1f} and {found.pointing:.1f}" for name, found in trivial)
            yield (
                f"pixel AP and pointing: of the combined map, on {self.maps_count:,} pictures of {self.maps_of}; maps "
                f"that look at nothing: {'; '.join(at_nothing)}"
            )

    def _cells(self, row: Row) -> tuple[object, ...]:
        low, high = row.interval
        quality = (None, None) if row.maps is None else (row.maps.average_precision, row.maps.pointing)
        settings = None if row.settings is None else ", ".join(f"{name}={of}" for name, of in row.settings.items())
        cells = (row.title, row.accuracy, f"{low:.1f} ... {high:.1f}", row.parameters, row.seconds)
        return (*cells, *(quality if self.maps_of else ()), settings)


def probe(
    config: ProbeConfig,
    train: ImageSet,
    test: ImageSet,
    *,
    folder: Path,
    masked: ImageSet | None = None,
    console: Console | None = None,
) -> Probe:
    """Trains and measures each way to read a frozen backbone's features.

    Args:
        config: What is asked.
        train: What to train on.
        test: What to measure on, once; images of classes that the training set has not are left out.
        folder: In which features lie meanwhile that memory has no room for.
        masked: Pictures with masks to measure maps on; by default the test set, where it has masks.
        console: Where progress is shown.

    Raises:
        UsageError: An impossible combination, or `masked` without masks.
        DataError: Features that are no numbers, or that fit nowhere; masks that are all empty.
    """
    config.check()
    test, difference = numbered_as(test, train.classes)
    pictures = Pictures(train, test, test if masked is None and test.masks is not None else masked)
    without = 0 if pictures.masked is None else check_has_objects(pictures.masked)
    watch, begun = Stopwatch(), time.perf_counter()
    with TemporaryDirectory(dir=folder, prefix="features-") as scratch:
        features = kept(config, pictures, Path(scratch), console)
        seconds = time.perf_counter() - begun
        rows = tuple(_row(config, method, pictures, features, console) for method in config.methods)
    return Probe(
        data=test.name,
        split=test.split,
        source=test.source,
        count=len(test),
        model=config.model,
        options=config.shared(),
        recipe=config.recipe.to_dict(),
        trained_on=len(train),
        image_size=train.image_size,
        backbone_seconds=round(seconds, 1),
        rows=rows,
        maps_of="" if pictures.masked is None else f"{pictures.masked.name}, {pictures.masked.split}",
        maps_count=0 if pictures.masked is None else len(pictures.masked) - without,
        trivial={} if pictures.masked is None else _trivial(pictures.masked),
        provenance=watch.provenance(chosen_device(), config.seed),
        **asdict(difference),
    )


def _row(config: ProbeConfig, method: str, pictures: Pictures, features: Kept, console: Console | None) -> Row:
    found = read(config, method, pictures.train, features, console)
    right, count = int((found.guesses == features.test.labels).sum()), len(features.test)
    attends = METHODS[method].options is not None
    return Row(
        method=method,
        title=config.title_of(method),
        accuracy=per_cent(right / count),
        interval=wilson(right, count),
        parameters=found.parameters,
        seconds=round(found.seconds, 2),
        maps=None if found.maps is None or pictures.masked is None else quality(found.maps, pictures.masked),
        settings=config.settings_of(method) if attends else None,
    )


def quality(maps: Float[Tensor, "n h w"], masked: ImageSet) -> MapQuality:
    """Of maps on any grid, brought to the masks' bilinearly."""
    assert masked.masks is not None
    precision, hits = [], []
    for start in range(0, len(maps), _BATCH):
        truth = torch.from_numpy(np.array(masked.masks[start : start + _BATCH]))
        on_grid = upsampled(maps[start : start + _BATCH], (truth.shape[1], truth.shape[2]))
        precision.append(pixel_average_precision(on_grid, truth))  # NaN without an object, here and below
        hits.append(pointing_hits(on_grid, truth, TOLERANCE))
    return MapQuality(*(per_cent(torch.cat(found).nanmean(), 2) for found in (precision, hits)))


def _trivial(masked: ImageSet) -> dict[str, MapQuality]:
    size = (len(masked), masked.image_size, masked.image_size)
    return {"all ones": quality(all_ones(*size), masked), "centred Gaussian": quality(centred_gaussian(*size), masked)}
