"""What can be exported is held against its model first; what cannot is one line, and no file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

import payattention as pa
from payattention.errors import PayAttentionError, UsageError
from payattention.exporting import export as exporting
from payattention.exporting.capture import captured, takes_any_size
from payattention.exporting.description import description
from payattention.exporting.outputs import names_of, outputs_of, slim, with_plain_padding
from payattention.exporting.sides import Sides
from payattention.exporting.torch_export import DESCRIPTION
from payattention.exporting.trial import DifferenceError, difference, greatest_difference, rounding
from payattention.models import Classifier, resnet
from settling import settled

SMALL = 0.0625


class Net(nn.Module):
    """A classifier of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(images).relu().mean((2, 3)))


class Deciding(Net):
    """One whose graph depends on what it sees."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits if logits.sum().item() > 0 else -logits


class Drawing(Net):
    """One that draws at random."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + torch.rand_like(images))


class Shrinking(Net):
    """One that rounds the sizes of pictures, which PyTorch's files cannot say."""

    def forward(self, images: Tensor) -> Tensor:
        size = [round(side * 0.75) for side in images.shape[2:]]
        return super().forward(nn.functional.interpolate(images, size, mode="bilinear"))


@pytest.fixture
def wrapped() -> Classifier:
    return pa.wrap(Net(), classes=["a", "b", "c"], image_size=32).eval()


# one of each kind of trunk, head, compatibility and normaliser; experiments/exported.py exports all there are
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg_att_dp", {"layout": "cub", "preprocessing": "yuv_lcn"}),
        ("resnet164_att2_concat_pc", {"normaliser": "sigmoid"}),
        ("fast_att2_indep_dp", {"queries": 2, "prior": "deep_strength", "branch_grad": "mean"}),
        ("fast_att_pc", {"normaliser": "hard", "compatibility": "additive", "in_channels": 1}),
        ("fast_gap", {}),
    ],
)
def test_networks_become_graphs_for_any_size(name: str, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet, "_BLOCKS", 2)
    model = pa.create_model(name, 3, SMALL, **options).eval()
    outputs = outputs_of(model)
    program = captured(outputs, Sides(model.image_size, model.image_size, 1, model.min_size))
    assert takes_any_size(program)
    images = torch.rand(3, model.in_channels, model.image_size + 8, 2 * model.image_size + 8)
    with torch.no_grad():
        truth, found = outputs(images), program.module()(images)
    assert tuple(found) == names_of(model.levels)
    for key, right in truth.items():
        assert difference(key, right, found[key]) < 1e-4


def test_a_backbone_takes_multiples_of_its_stride(tmp_path: Path) -> None:
    model = settled(pa.attach("test_resnet", 3), (64, 64))
    done = pa.export(model, tmp_path / "model.pt2", pictures=[torch.rand(3, 70, 100)])
    assert (done.sides.step, done.sides.least, done.tried) == (32, 64, 1)


def test_a_torch_file_runs_alone_and_tells_what_it_is(wrapped: Classifier, tmp_path: Path) -> None:
    done = pa.export(wrapped, tmp_path / "new" / "net.pt2", pictures=[torch.rand(3, 50, 40)])
    extra = {DESCRIPTION: ""}
    network = torch.export.load(done.path, extra_files=extra).module()
    images = torch.rand(2, 3, 40, 36)
    torch.testing.assert_close(network(images)["logits"], wrapped(images))
    assert json.loads(extra[DESCRIPTION]) == description(wrapped, done.sides)
    assert done.outputs == ("logits",)
    assert [file.name for file in done.path.parent.iterdir()] == ["net.pt2"]


def test_a_model_is_left_as_it_is(wrapped: Classifier, tmp_path: Path) -> None:
    wrapped.train()
    before = {name: tensor.clone() for name, tensor in wrapped.state_dict().items()}
    drawn = torch.get_rng_state()
    pa.export(wrapped, tmp_path / "net.pt2", size=32, pruned=True, folded=True)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert wrapped.training
    assert all(p.requires_grad and p.grad is None for p in wrapped.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in wrapped.state_dict().items())


def test_what_is_pruned_and_folded_is_smaller_and_the_same() -> None:
    model = settled(pa.create_model("vgg_att_pc", 3, SMALL))
    slimmer, images = slim(model, pruned=True, folded=True), torch.rand(2, 3, 32, 32)
    gone = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in slimmer.parameters())
    assert gone > sum(model.dead_parameters().values())  # and the norms
    torch.testing.assert_close(slimmer.attend(images).maps["layer13"], model.attend(images).maps["layer13"])
    again = slim(slimmer, pruned=True, folded=True)  # where there is nothing to do, nothing happens
    assert [*again.state_dict()] == [*slimmer.state_dict()]


class Rounding(Net):
    """One that loses digits: a float32 near 1e4 has steps of 1e-3."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 1e4 - 1e4


def test_a_network_that_rounds_much_itself_may_differ_by_as_much() -> None:
    outputs = outputs_of(pa.wrap(Rounding(), classes=["a", "b", "c"], image_size=32).eval())
    images = torch.rand(4, 3, 32, 32)
    own = rounding(outputs, images, "logits")
    assert 1e-4 < own < 1e-3

    def found(by: float) -> float:
        return greatest_difference(outputs, lambda seen: {"logits": outputs(seen)["logits"] + by}, iter([images]))

    assert 1e-4 < found(3 * own) < 4 * own
    with pytest.raises(DifferenceError, match="logits of the file differs"):
        found(6 * own)
    assert rounding(outputs_of(pa.wrap(Net(), classes=["a", "b", "c"], image_size=32).eval()), images, "logits") < 1e-6


def test_a_file_that_says_something_else_is_not_written(
    wrapped: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = exporting.FORMATS["torch"]

    def wrong(file: Path) -> Callable[[Tensor], dict[str, Tensor]]:
        right = written.runner(file)
        return lambda images: {name: output + 1e-3 for name, output in right(images).items()}

    monkeypatch.setitem(exporting.FORMATS, "torch", written._replace(runner=wrong))
    with pytest.raises(PayAttentionError, match=r"on pictures of 32x32 logits of the file differs from the model's by"):
        pa.export(wrapped, tmp_path / "net.pt2")
    assert [*tmp_path.iterdir()] == []


def test_a_network_without_a_graph_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PayAttentionError, match=r"^Deciding cannot be exported: PyTorch cannot make a graph") as caught:
        pa.export(pa.wrap(Deciding(), image_size=32), tmp_path / "net.pt2")
    assert re.search(r"depends on the values of pixels, .*test_export\.py:\d+\)$", str(caught.value))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert [*tmp_path.iterdir()] == []


def test_what_cannot_be_for_any_size_is_for_one(tmp_path: Path) -> None:
    done = pa.export(pa.wrap(Shrinking(), image_size=32), tmp_path / "net.pt2", pictures=[torch.rand(3, 40, 50)])
    assert (done.sides.step, done.sides.in_words) == (None, "32x32 pixels")


def test_a_file_that_does_not_open_is_one_line(
    wrapped: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> Callable[[Tensor], dict[str, Tensor]]:
        raise RuntimeError("no kernel for Foo\nmore")

    monkeypatch.setitem(exporting.FORMATS, "torch", exporting.FORMATS["torch"]._replace(runner=fails))
    with pytest.raises(
        PayAttentionError, match=r"^Net cannot be exported: its file does not open \(no kernel for Foo\)$"
    ):
        pa.export(wrapped, tmp_path / "net.pt2", size=32)
    assert [*tmp_path.iterdir()] == []


def test_hard_attention_in_training_is_refused(tmp_path: Path) -> None:
    model = pa.create_model("fast_att_pc", 3, SMALL, normaliser="hard").train()
    with pytest.raises(UsageError, match=r"hard attention draws at random.*call model.eval\(\) first"):
        pa.export(model, tmp_path / "model.pt2")


def test_a_network_that_draws_at_random_is_refused(tmp_path: Path) -> None:
    """Its rounding, by which deep networks may differ, would have excused whatever it says."""
    with pytest.raises(UsageError, match="Drawing answers the same picture in two ways: it draws at random"):
        pa.export(pa.wrap(Drawing(), image_size=32), tmp_path / "net.pt2")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("there.onnx", {}, "this file is there already; choose another name"),
        ("model.pth", {}, r"give it a name that ends in \.onnx or \.pt2"),
        ("model.pt2", {"int8": torch.rand(1, 3, 32, 32)}, r"int8 is of ONNX files, not of torch"),
        ("model.onnx", {"int8": torch.rand(0, 3, 32, 32)}, "int8 needs images"),
        ("model.pt2", {"size": 8}, "the images are 8x8"),
    ],
)
def test_wrong_calls_are_one_line(
    name: str, options: Any, message: str, wrapped: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.onnx").touch()
    with pytest.raises(UsageError, match=message):
        pa.export(wrapped, tmp_path / name, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["there.onnx"]


def test_a_bare_network_is_to_be_wrapped(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"export takes a classifier of payattention; pa\.wrap makes one of a Net"):
        pa.export(Net(), tmp_path / "net.pt2")


def test_differences_are_shares_of_the_greatest_value() -> None:
    small = torch.tensor([[1e-4, 2e-4]])
    assert difference("map_layer7", small, small + 1e-5) == pytest.approx(0.05, rel=1e-4)
    assert difference("logits", small, small + 1e-5) == pytest.approx(1e-5, rel=1e-2)
    assert difference("logits", small, small[:, :1]) == float("inf")
    assert not difference("logits", small, small * float("nan")) <= 1


def test_sides() -> None:
    assert Sides(32, 32).in_words == "32x32 pixels"
    assert Sides(64, 64, 32, 32).in_words == "any sides from 32 pixels, multiples of 32"
    assert [Sides(64, 64, 32, 40).fitting(side) for side in (10, 70, 81)] == [64, 64, 96]


@pytest.mark.parametrize("bias", [True, False])
def test_plain_padding_is_the_computed_one_for_multiples_of_the_stride(bias: bool) -> None:
    """TensorFlow's padding, written as a number, is what timm computes of the sides."""
    torch.manual_seed(0)
    network = nn.Sequential(
        Conv2dSame(3, 4, 3, stride=2, bias=bias),
        nn.Sequential(Conv2dSame(4, 4, (5, 3), stride=2, groups=4, bias=bias), nn.ReLU()),
        Conv2dSame(4, 6, 3, stride=1, dilation=2, bias=bias),
        Conv2dSame(6, 6, 2, stride=2, bias=bias),
    ).eval()
    pictures = [torch.rand(2, 3, height, width) for height, width in ((32, 32), (64, 96), (8, 8))]
    with torch.no_grad():
        computed = [network(picture) for picture in pictures]
        with_plain_padding(network)
        assert not any(isinstance(module, Conv2dSame) for module in network.modules())
        for picture, found in zip(pictures, computed, strict=True):
            torch.testing.assert_close(network(picture), found)
