"""Measuring speed: what is counted is right, what cannot be is said, and int8 is the same network."""

import json
import subprocess
import sys
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch

import payattention as pa
from payattention.cli.app import run
from payattention.errors import UsageError
from payattention.models import create_model, resnet
from payattention.models.rewrites.winograd import suitable, suitable_in_training
from payattention.speed import Spread, alternated, benchmark, ratios
from payattention.speed.arithmetic import flops_per_image
from payattention.speed.memory import check_fits, needed_bytes

SMALL = 0.0625
MODULE = import_module("payattention.speed.benchmark")  # whose name a function has, too


@pytest.mark.parametrize(
    ("name", "classes", "multiply_adds"),
    [  # convolutions and linear layers of the authors' networks; the weighted sums come on top
        ("vgg", 100, 313_509_888),
        ("vgg_gap", 10, 3_738_899_456),
        ("vgg_att3_concat_pc", 100, 3_787_027_456),
        ("resnet164", 10, 244_500_992),
        ("saoyan_vgg_att3", 100, 3_921_401_856),
    ],
)
def test_operations_are_those_counted_by_hand(name: str, classes: int, multiply_adds: int) -> None:
    with torch.device("meta"):
        model = create_model(name, classes)
    counted = flops_per_image(model, 32, training=False)
    assert counted == pytest.approx(2 * multiply_adds, rel=3e-4)
    trained = flops_per_image(model, 32, training=True)
    assert 2.9 * counted < trained <= 3 * counted  # the first layer's input needs no gradient


def test_spreads_and_ratios() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0, 3.0)
    assert ratios([4.0, 9.0, 8.0], [2.0, 3.0, 8.0]) == Spread(1.0, 2.0, 3.0)


def test_measures_alternate_after_a_round_that_is_forgotten() -> None:
    calls: list[str] = []

    def named(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = alternated({"a": lambda: named("a"), "b": lambda: named("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert found == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_needed_memory_is_what_autograd_keeps() -> None:
    """A linear layer keeps its input; the forward pass's largest layer and gradients and momentum come on top."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(3 * 8 * 8, 5, bias=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.linear(images.flatten(1))

    inputs, outputs = 4 * 192, 4 * 5
    assert needed_bytes(Net(), 10, 8, training=True) == 10 * (inputs + inputs + outputs) + 2 * 5 * inputs
    assert needed_bytes(Net(), 10, 8, training=False) == 10 * (inputs + outputs)


def test_a_batch_that_cannot_fit_is_refused_before_it_is_made() -> None:
    with pytest.raises(
        UsageError, match=r"a batch of 100,000,000 does not fit into memory in training: it needs about"
    ):
        benchmark(create_model("vgg_att_pc", 3, SMALL), batch_size=100_000_000)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_is_explained(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MODULE, "_action", full)
    with pytest.raises(UsageError, match=r"a batch of 8 does not fit into memory in training: .* memory"):
        benchmark(create_model("vgg_att_pc", 3, SMALL), batch_size=8, precision="float32")


def test_peak_memory_is_of_the_action_alone() -> None:
    """In a process of its own: one that has freed as much before may take it again without growing."""
    program = """if True:
        import json, torch
        from payattention.speed.memory import peak_mebibytes
        actions = (lambda: None, lambda: torch.ones(2**26), lambda: None)  # 256 MiB in between
        print(json.dumps([peak_mebibytes(action, torch.device("cpu")) for action in actions]))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, during, after = json.loads(done.stdout)
    if before is None:
        pytest.skip("this system does not tell")
    assert during - before > 200
    assert during - after > 200


@pytest.mark.parametrize("name", ["vgg", "vgg_gap", "vgg_pan", "vgg_att3_concat_pc", "resnet164", "saoyan_vgg_att3"])
def test_networks_are_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "matrix_peak", lambda *_: 1e9)
    monkeypatch.setattr(resnet, "_BLOCKS", 2)
    model = create_model(name, 3, SMALL)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    result = benchmark(model, batch_size=2, precision="float32", seconds=0)
    trained = ["training, Winograd"] if suitable_in_training(model) else []
    wide = ["inference, Winograd"] if suitable(model) else []  # of enough channels, even at this width
    assert list(result.phases) == ["training", *trained, "inference", "inference, folded", *wide]
    for phase, pace in result.phases.items():
        assert pace.images_per_second == pytest.approx(2000 / pace.step_ms.median, rel=1e-2)
        assert pace.step_ms.min <= pace.step_ms.median <= pace.step_ms.max
        assert pace.percent_of_peak == pytest.approx(1e5 * pace.tflops, abs=10)
        assert pace.gflop_per_image == pytest.approx(
            flops_per_image(model, 32, training=phase.startswith("training")) / 1e9, abs=1e-3
        )
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())  # it is left as it was


def test_training_by_winograd_is_measured_where_it_is_what_train_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "matrix_peak", lambda *_: 1e9)
    monkeypatch.setattr(MODULE, "suitable_in_training", suitable)  # only wide networks train faster
    model = create_model("vgg_att_pc", 3, 0.125)
    pace = partial(benchmark, model, batch_size=2, seconds=0, phases=("training",))
    assert list(pace(precision="float32").phases) == ["training", "training, Winograd"]
    assert list(pace(precision="bf16").phases) == ["training"]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", lambda network: network)
        assert list(pace(precision="float32", compiled=True).phases) == ["training"]


@pytest.mark.float32
def test_the_verb_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--width", "0.125", "--batch-size", "2", "--seconds", "0", "--phase", "inference", "--json"]
    assert run(["benchmark", "vgg_att_pc", *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["provenance"]["command"].startswith("payattention benchmark vgg_att_pc")
    assert set(result["phases"]) == {"inference", "inference, folded", "inference, Winograd"}


def test_the_verb_takes_backbones_and_runs(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "matrix_peak", lambda *_: 1e9)
    common = ["--batch-size", "2", "--seconds", "0", "--precision", "float32"]
    assert run(["benchmark", "timm:test_resnet", "--image-size", "32", *common]) == 0
    assert "timm:test_resnet" in capsys.readouterr().out
    pa.save(create_model("vgg_att_pc", 3, SMALL), tmp_path / "run")
    for fixed in ("--width=2", "--classes=3", "--set=dropout=0"):
        assert run(["benchmark", str(tmp_path / "run"), fixed, *common]) == 2
        assert "has classes and channels of its own; leave --classes, --width and --set out" in capsys.readouterr().err
    assert run(["benchmark", str(tmp_path / "run"), *common]) == 0
    assert "vgg_att_pc, width 0.0625" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "fp16"], "unknown precision 'fp16'"),
        (["--phase", "train"], "unknown phase 'train'; did you mean 'training'?"),
        (["--precision", "int8", "--phase", "training"], "int8 is for inference"),
        (["--precision", "int8", "--compile"], "nothing for torch.compile to compile"),
        (["--batch-size", "1"], "a batch of 1 cannot be trained on"),
        (["vgg_at_pc"], "unknown model 'vgg_at_pc'"),
        (["--image-size", "8"], "images of 8 pixels are too small"),
        (["timm:resnet18", "--width", "0.5"], "no width scales"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["benchmark", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_slow_bf16_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "slower_in_bf16", lambda: "bf16 is slower on this processor")
    model = create_model("vgg_att_pc", 3, SMALL)
    result = benchmark(model, batch_size=2, precision="bf16", phases=("inference",), seconds=0)
    assert result.notes[0] == "bf16 is slower on this processor"


def test_what_fits_is_not_refused() -> None:
    check_fits(create_model("vgg_att_pc", 3, SMALL), 4, 32, training=True, device=torch.device("cpu"))


@pytest.mark.parametrize("channels", [1, 4])
def test_a_network_of_other_channels_is_timed(channels: int) -> None:
    model = create_model("fast_att_pc", 3, SMALL, in_channels=channels)
    paces = benchmark(model, batch_size=2, image_size=32, seconds=0.0).phases
    assert all(pace.images_per_second > 0 for pace in paces.values())
