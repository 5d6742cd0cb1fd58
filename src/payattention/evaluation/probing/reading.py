"""One way to read features: trained on those of the training pictures, asked about the others."""

import time
from dataclasses import replace
from typing import NamedTuple

import torch
from rich.console import Console
from torch import Tensor, nn

from payattention.data import ImageSet
from payattention.evaluation.probing.kept import Kept
from payattention.evaluation.probing.methods import METHODS, ProbeConfig
from payattention.evaluation.probing.pooled import LinearProbe, nearest
from payattention.models.attentive import AttentiveClassifier
from payattention.models.evaluating import evaluating
from payattention.models.timm_backbones.whole_trunk import CLASS_TOKEN, MEAN
from payattention.training.features import FeatureClassifier, FeatureSet, looks_at
from payattention.training.fit import fit_on_features, new_model
from payattention.training.recipe import Recipe


class Reading(NamedTuple):
    """What one way makes of the features.

    Attributes:
        guesses: The class of each test picture, (n,).
        maps: The combined map of each masked picture, (m, h, w); None where there are none, or no maps.
        parameters: How many are trained, without those that provably change nothing.
        seconds: Of training; of k-NN, of finding the neighbours.
    """

    guesses: Tensor
    maps: Tensor | None
    parameters: int
    seconds: float


def read(config: ProbeConfig, method: str, train: ImageSet, features: Kept, console: Console | None) -> Reading:
    """The reading of `METHODS[method]`; what is trained is trained on the features of `train`."""
    if method == "knn":
        begun = time.perf_counter()
        return Reading(nearest(features.train, features.test), None, 0, time.perf_counter() - begun)
    if METHODS[method].options is None:
        return _linear(config, len(train.classes), features, console)
    return _attentive(config, method, train, features, console)


def _linear(config: ProbeConfig, num_classes: int, features: Kept, console: Console | None) -> Reading:
    names = [name for name in (CLASS_TOKEN, MEAN) if name in features.train.features]
    torch.manual_seed(config.seed)
    network = LinearProbe({name: features.train.features[name].shape[2] for name in names}, num_classes)
    recipe = replace(config.recipe, border_penalty=0.0)  # it has no maps to pay for
    seconds = _fitted(network, features.train.only(names), recipe, config.seed, console)
    with torch.inference_mode(), evaluating(network):
        guesses = [network(batch).argmax(1) for batch in features.test.only(names).in_order()]
    return Reading(torch.cat(guesses), None, _trained(network), seconds)


def _attentive(config: ProbeConfig, method: str, train: ImageSet, features: Kept, console: Console | None) -> Reading:
    model = new_model(config.model, train, config.recipe, seed=config.seed, **config.network_of(method))
    assert isinstance(model, AttentiveClassifier)
    seconds = _fitted(FeatureClassifier(model), features.train.only(model.levels), config.recipe, config.seed, console)
    guesses = torch.cat([look.logits.argmax(1) for look in looks_at(model, features.test)])
    maps = None
    if features.masked is not None:
        maps = torch.cat([model.combined(look.maps).float() for look in looks_at(model, features.masked)])
    model.drop_dead()
    return Reading(guesses, maps, _trained(model), seconds)


def _fitted(network: nn.Module, features: FeatureSet, recipe: Recipe, seed: int, console: Console | None) -> float:
    """Trains a network, and gives the seconds that it took."""
    begun = time.perf_counter()
    fit_on_features(network, features, recipe, seed=seed, console=console)
    return time.perf_counter() - begun


def _trained(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
