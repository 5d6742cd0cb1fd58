"""Whatever looks at a model leaves its modes, its hooks and its gradients as they were."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.data import ImageSet
from payattention.evaluation import classify, pointing
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import FGSM, PGD
from payattention.evaluation.comparison.table import compare
from payattention.evaluation.query import ask, query_effect
from payattention.evaluation.segment import segment
from payattention.evaluation.transfer import transfer
from payattention.explaining.folder import gallery
from payattention.figures.attack import attack_figure
from payattention.figures.compare import map_sheet
from payattention.figures.side_by_side import activations_figure, maps_figure, masks_figure
from payattention.models import Classifier
from payattention.pictures.named import picture_files
from payattention.posthoc import METHODS, method

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8))
CHEAP = [name for name in METHODS if not method(name).costly and name != "cam"]


def _compared(model: Classifier, data: ImageSet) -> None:
    map_sheet(model, data, compare(model, data, methods=["activation"], costly=2))


LOOKS: dict[str, Callable[[Classifier, ImageSet], object]] = {
    "explain": lambda model, data: pa.explain(model, PICTURE),
    "classify": classify,
    "pointing": pointing,
    "ask": lambda model, data: ask(model, PICTURE, PICTURE),
    "query_effect": query_effect,
    "attack": lambda model, data: attack(model, data, {"fgsm": FGSM(), "pgd": PGD(steps=1)}, [4.0]),
    "transfer": lambda model, data: transfer(model, data, folds=2),
    "segment": segment,
    "compare": _compared,
    "attack figure": lambda model, data: attack_figure({"m": model}, {"p": PICTURE}, FGSM(), [4.0]),
    "maps figure": lambda model, data: maps_figure({"m": model}, {"p": PICTURE}),
    "masks figure": lambda model, data: masks_figure({"m": model}, {"p": PICTURE}),
    "activations figure": lambda model, data: activations_figure({"m": model}, {"p": PICTURE}),
    **{
        name: lambda model, data, name=name: method(name).maps(model, torch.rand(2, 3, 32, 32))  # type: ignore[misc]
        for name in CHEAP
    },
}


@pytest.fixture
def training() -> Classifier:
    """A network whose parts are in different modes, with gradients, as in the middle of a training."""
    model = pa.create_model("vgg_att2_concat_dp", 2, 0.0625).train()
    model.classes = ("dark", "bright")
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    model.preprocessing.eval()
    return model


@pytest.mark.parametrize("name", LOOKS)
def test_it_is_as_it_was(name: str, training: Classifier, image_set: ImageSet) -> None:
    before = _state(training)
    LOOKS[name](training, image_set)
    after = _state(training)
    for was, now in zip(before, after, strict=True):
        assert was == now


def test_so_is_the_network_of_a_folder_of_maps(training: Classifier, picture: Path, tmp_path: Path) -> None:
    before = _state(training)
    gallery(training, picture_files([picture]), tmp_path / "out")
    assert _state(training) == before


def _state(model: Classifier) -> tuple[object, ...]:
    modules = list(model.modules())
    return (
        [module.training for module in modules],
        [len(hooks) for m in modules for hooks in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)],
        [None if p.grad is None else p.grad.sum().item() for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        {name: value.double().sum().item() for name, value in model.state_dict().items()},
        {p.device for p in model.parameters()},
    )
