"""What the frozen backbone gives for every picture: computed once, for all ways to read it."""

from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from payattention.data import ImageSet
from payattention.errors import without_numbers
from payattention.evaluation.probing.methods import ProbeConfig
from payattention.models.attentive import AttentiveClassifier
from payattention.models.timm_backbones.whole_trunk import on_whole_trunk
from payattention.system.machine import chosen_device
from payattention.training.features import FeatureSet
from payattention.training.fit import new_model


class Pictures(NamedTuple):
    """What is trained on, what is measured on, and pictures with masks for the maps, often the same."""

    train: ImageSet
    test: ImageSet
    masked: ImageSet | None


class Kept(NamedTuple):
    """Their features."""

    train: FeatureSet
    test: FeatureSet
    masked: FeatureSet | None


def kept(config: ProbeConfig, pictures: Pictures, folder: Path, console: Console | None) -> Kept:
    """Runs the backbone over each set; features that memory has no room for go to files in the folder.

    Raises:
        DataError: Features that are no numbers, or that fit nowhere.
    """
    options = {**config.options, "freeze": True}
    reader = new_model(config.model, pictures.train, config.recipe, seed=config.seed, **options)
    assert isinstance(reader, AttentiveClassifier)
    on_whole_trunk(reader, config.seed, config.options.get("weights", ""))

    def features(name: str, data: ImageSet, mirrored: bool = False) -> FeatureSet:
        apart = folder / f"features-{name}"
        found = FeatureSet.of(reader, data, chosen_device(), apart, mirrored=mirrored, console=console)
        if not found.is_finite:
            raise without_numbers(f"the features of {config.model}")
        return found

    train, test, masked = pictures
    measured = features("test", test)
    seen = None if masked is None else measured if masked is test else features("masked", masked)
    return Kept(features("train", train, config.recipe.mirrors(train.mirror)), measured, seen)
