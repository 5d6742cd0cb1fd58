"""Whatever looks at a model, in whatever mode, answers as in evaluation mode and leaves the model as it was."""

import copy
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation import classify, pointing
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import FGSM, PGD
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.comparison.table import compare
from payattention.evaluation.direct_transfer import direct_transfer
from payattention.evaluation.query import ask, query_effect
from payattention.evaluation.segment import segment
from payattention.evaluation.transfer import transfer
from payattention.explaining.folder import write_maps
from payattention.explaining.request import Request
from payattention.figures.attack import attack_figure
from payattention.figures.comparison import map_sheet
from payattention.figures.query import query_figure
from payattention.figures.side_by_side import activations_figure, maps_figure, masks_figure
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.finding import picture_files
from payattention.posthoc import METHODS, method
from payattention.posthoc.hooks import local_features
from payattention.speed.benchmark import benchmark
from settling import settled

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8))
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LIMITED = ("CAM", "attention rollout", "gradient-weighted attention")
CHEAP = [name for name in METHODS if not method(name).costly and method(name).title not in LIMITED]


def _map_sheet(model: Classifier, data: ImageSet) -> Image.Image:
    return map_sheet(model, data, compare(model, data, methods=["activation"], costly=1))


LOOKS: dict[str, Callable[[Classifier, ImageSet], object]] = {
    "explain": lambda model, data: pa.explain(model, PICTURE),
    "explain by a method": lambda model, data: pa.explain(model, PICTURE, method="grad_cam", target="all"),
    "looks": lambda model, data: [look.logits for _, look in looks(model, data, model.device)],
    "classify": classify,
    "pointing": pointing,
    "ask": lambda model, data: ask(model, PICTURE, PICTURE.rotate(90)),
    "query_effect": query_effect,
    "attack": lambda model, data: attack(model, data, {"fgsm": FGSM(), "pgd": PGD(steps=1)}, [4.0]),
    "transfer": lambda model, data: transfer(model, data, folds=2),
    "direct transfer": direct_transfer,
    "segment": segment,
    "compare": lambda model, data: compare(model, data.first(2), methods=["grad_cam"], costly=1),
    "map sheet": lambda model, data: _map_sheet(model, data.first(2)),
    "attack figure": lambda model, data: attack_figure({"m": model}, {"p": PICTURE}, FGSM(), [4.0]),
    "query figure": lambda model, data: query_figure({"m": model}, PICTURE.rotate(90), {"p": PICTURE}),
    "maps figure": lambda model, data: maps_figure({"m": model}, {"p": PICTURE}),
    "masks figure": lambda model, data: masks_figure({"m": model}, {"p": PICTURE}),
    "activations figure": lambda model, data: activations_figure({"m": model}, {"p": PICTURE}),
    **{name: lambda model, data, name=name: method(name).maps(model, IMAGES) for name in CHEAP},  # type: ignore[misc]
}


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payattention.evaluation.comparison.columns.STEPS", 2)
    monkeypatch.setattr("payattention.evaluation.comparison.randomisation.PICTURES", 1)
    monkeypatch.setattr("payattention.evaluation.comparison.randomisation.DRAWS", 1)


@pytest.fixture
def training() -> Classifier:
    """A network as in the middle of a training.

    Its parts are in different modes, some are frozen, there are gradients, and a hook of its owner's.
    """
    model = pa.create_model("vgg_att2_concat_dp", 2, 0.0625).train()
    model.classes = ("dark", "bright")
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    model.trunk.layers["conv1"].requires_grad_(False)
    model.preprocessing.eval()
    model.trunk.layers["conv2"].register_forward_hook(_watch)
    return model


def _watch(module: torch.nn.Module, inputs: object, output: object) -> None:
    """Its owner's hook: counts how often it sees an output."""
    module.seen = getattr(module, "seen", 0) + 1


@pytest.mark.parametrize("name", LOOKS)
def test_the_answer_is_that_of_evaluation_mode_and_the_model_is_as_it_was(
    name: str, training: Classifier, image_set: ImageSet
) -> None:
    expected = _plain(LOOKS[name](copy.deepcopy(training).eval(), image_set))
    before = _state(training)
    answer = _plain(LOOKS[name](training, image_set))
    assert answer == expected
    assert _state(training) == before
    assert training.trunk.layers["conv2"].seen > 0


@pytest.mark.parametrize("name", LOOKS)
def test_it_is_as_it_was_after_an_error(name: str, training: Classifier, image_set: ImageSet) -> None:
    def fail(module: torch.nn.Module, inputs: object) -> None:
        raise ZeroDivisionError("in the middle")

    training.head.register_forward_pre_hook(fail)
    training.trunk.layers["conv7"].register_forward_pre_hook(fail)
    before = _state(training)
    with pytest.raises(ZeroDivisionError):
        LOOKS[name](training, image_set)
    assert _state(training) == before


def test_so_is_the_network_of_a_folder_of_maps(training: Classifier, picture: Path, tmp_path: Path) -> None:
    expected = write_maps(Request.of(copy.deepcopy(training).eval()), picture_files([picture]), tmp_path / "eval")
    before = _state(training)
    answer = write_maps(Request.of(training), picture_files([picture]), tmp_path / "train")
    assert json.dumps(answer["pictures"]) == json.dumps(expected["pictures"])
    assert _state(training) == before


def test_so_is_the_network_of_whitened_images(image_set: ImageSet) -> None:
    small = replace(image_set, images=image_set.images[:, :9, :9], masks=None)
    model = pa.create_model("fast_att_pc", 2, 0.0625).train()
    before, own = _state(model), model.preprocessing
    transfer(model, small, folds=2, whiten=True)
    assert _state(model) == before
    assert model.preprocessing is own


def test_so_is_the_network_of_a_benchmark(training: Classifier) -> None:
    before = _state(training)
    benchmark(training, batch_size=2, seconds=0.0, phases=["training", "inference"])
    assert _state(training) == before


def test_parameters_get_no_gradients_and_pictures_do(training: Classifier) -> None:
    before, images = _state(training), IMAGES.clone().requires_grad_()
    with evaluating(training):
        training(images).sum().backward()
        assert all(parameter.grad is None for parameter in training.parameters())
    assert images.grad is not None
    assert images.grad.any()
    assert _state(training) == before


def test_what_is_done_to_a_model_while_it_is_looked_at_is_undone(training: Classifier) -> None:
    before = _state(training)
    with pytest.raises(ZeroDivisionError):
        _change(training)
    assert _state(training) == before


def _change(model: Classifier) -> None:
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        model.requires_grad_(True)
        model.trunk.register_forward_hook(_watch)
        model(IMAGES).sum().backward()
        model.trunk.train()
        raise ZeroDivisionError


def test_the_first_of_several_threads_that_is_done_leaves_the_model_to_the_others(training: Classifier) -> None:
    """Each look is in evaluation mode to its end; the last one out restores the training's."""
    before, inside, out = _state(training), threading.Event(), threading.Event()
    modes: list[bool] = []

    def long_look() -> None:
        with evaluating(training):
            inside.set()
            out.wait(30)
            modes.extend(module.training for module in training.modules())

    with evaluating(training):
        other = threading.Thread(target=long_look)
        other.start()
        inside.wait(30)
    out.set()
    other.join(30)
    assert modes
    assert not any(modes)
    assert _state(training) == before


def test_a_post_hoc_method_sees_the_features_of_its_own_thread(training: Classifier) -> None:
    with local_features(training) as seen:
        training(IMAGES)
        own = dict(seen)
        other = threading.Thread(target=lambda: training(IMAGES.flip(0)))
        other.start()
        other.join(30)
        assert all(seen[name] is own[name] for name in own)


@pytest.mark.parametrize("name", LOOKS)
def test_a_model_in_half_is_taken(name: str, image_set: ImageSet) -> None:
    model = settled(pa.create_model("vgg_att2_concat_dp", 2, 0.0625)).half()
    model.classes = ("dark", "bright")
    LOOKS[name](model, image_set)
    assert {p.dtype for p in model.parameters()} == {torch.float16}


def test_a_dtype_without_an_operation_is_said_in_a_line() -> None:
    model = pa.create_model("vgg_att2_concat_pc", 2, 0.0625).eval().to(torch.float8_e4m3fn)
    with pytest.raises(UsageError, match=r"float8_e4m3fn on cpu \(.*not implemented for.*\): take model.float\(\)"):
        pa.explain(model, PICTURE)


def _plain(answer: Any) -> Any:
    """An answer as values that can be compared, without what a clock gave."""
    if is_dataclass(answer) and not isinstance(answer, type):
        kept = {f.name: getattr(answer, f.name) for f in fields(answer)}
        return _plain({name: value for name, value in kept.items() if name not in ("provenance", "milliseconds")})
    if isinstance(answer, Mapping):
        return {name: _plain(value) for name, value in answer.items()}
    if isinstance(answer, Image.Image):
        return answer.tobytes()
    if isinstance(answer, torch.Tensor | np.ndarray):
        return answer.tolist()
    if isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
        return [_plain(value) for value in answer]
    return answer


def _state(model: Classifier) -> tuple[object, ...]:
    modules = list(model.modules())
    return (
        [module.training for module in modules],
        [list(hooks) for m in modules for hooks in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)],
        [None if p.grad is None else (id(p.grad), p.grad.sum().item()) for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        {name: value.double().sum().item() for name, value in model.state_dict().items()},
        {p.device for p in model.parameters()},
    )
