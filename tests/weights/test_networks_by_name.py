"""Models by name: networks of timm, torchvision and transformers, and what a user's script makes."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from torchvision import models

import payattention as pa
from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.models.wrapped import Wrapped
from payattention.weights.named import Borrowed, SavedModel, named, of_a_model

SCRIPT = """
import sys
from dataclasses import dataclass

import torch
from torch import nn

import neighbour
import payattention as pa

print("the script says so", file=sys.stdout)


@dataclass
class Config:
    classes: int = 3


def make_model():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def wrapped():
    return pa.wrap(make_model(), classes=neighbour.CLASSES, image_size=32)


def needs(depth, width=3, *, height):
    return make_model()


def nothing():
    make_model()


def raises():
    raise KeyError("depth")


def leaves():
    sys.exit("never")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.classifier = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, images):
        return self.classifier(self.conv(images).mean((2, 3)))


made, number = Net(), 5
"""


@pytest.fixture(autouse=True)
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`net.py`, with a module beside it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("neighbour.py").write_text("CLASSES = ('cat', 'dog', 'owl')\n")
    Path("net.py").write_text(SCRIPT)
    Path("broken.py").write_text("def make_model(:\n    pass\n")
    Path("star.py").write_text("from net import *\n")
    return tmp_path / "net.py"


def of_timm(classes: int) -> nn.Module:
    return timm.create_model("test_resnet", num_classes=classes)


def of_torchvision(classes: int) -> nn.Module:
    return models.squeezenet1_1(num_classes=classes)


@pytest.mark.parametrize(
    ("name", "make"), [("timm:test_resnet", of_timm), ("torchvision:squeezenet1_1", of_torchvision)]
)
@pytest.mark.parametrize("kind", ["safetensors", "checkpoint"])
def test_the_weights_of_a_file(name: str, make: "type[nn.Module]", kind: str, recwarn: pytest.WarningsRecorder) -> None:
    """It is the network that was saved, of as many classes, whoever wrote the file."""
    network = make(3).eval()
    if kind == "safetensors":
        save_file(network.state_dict(), "w.safetensors")
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{n}": t for n, t in network.state_dict().items()}}, "w.pth")
    model = pa.load(name, weights="w.safetensors" if kind == "safetensors" else "w.pth", classes=("a", "b", "c"))
    assert (model.name, model.classes, model.num_classes) == (name, ("a", "b", "c"), 3)
    assert not model.training
    assert not recwarn.list
    images = torch.rand(2, 3, model.image_size, model.image_size)
    with torch.no_grad():
        assert torch.equal(model(images), network(model.preprocessing(images)))


class TestWrongWeights:
    @pytest.mark.parametrize("name", ["timm:test_resnet", "torchvision:squeezenet1_1"])
    def test_are_told(self, name: str) -> None:
        make = of_timm if name.startswith("timm") else of_torchvision
        state = make(3).state_dict()
        first, *_, last = state
        tails = [tensor for tensor in state if tensor.startswith((last.rpartition(".")[0], "classifier", "fc", "head"))]
        for changed, message in [
            ({n: t for n, t in state.items() if n != first}, rf"lacks 1 of {len(state)} tensors \({first}\)"),
            ({**state, first: torch.zeros(1)}, rf"has 1 of other shapes \({first}\)"),
            ({**state, "layer9.weight": torch.zeros(1)}, r"has 1 that this network has not \(layer9\.weight\)"),
            ({n: t for n, t in state.items() if n not in tails}, "holds no classifier"),
        ]:
            save_file(changed, "w.safetensors")
            with pytest.raises(CheckpointError, match=message):
                pa.load(name, weights="w.safetensors")

    def test_of_a_larger_network_are_not_taken_for_a_smaller_ones(self) -> None:
        save_file(timm.create_model("resnet34", num_classes=2).state_dict(), "w.safetensors")
        with pytest.raises(
            CheckpointError, match=r"not the weights of timm's resnet18: it has \d+ that this network has"
        ):
            pa.load("timm:resnet18", weights="w.safetensors")


class TestFresh:
    def test_weights_are_told(self) -> None:
        with pytest.warns(UserWarning, match="timm:test_resnet has fresh weights, which have learnt nothing"):
            model = pa.load("timm:test_resnet")
        assert "tabby" in model.classes

    def test_as_many_names_as_classes(self) -> None:
        with pytest.raises(UsageError, match="1 class names are given, and timm:test_resnet has 1000 classes"):
            pa.load("timm:test_resnet", classes=("a",))


class TestPretrained:
    def test_explain_takes_a_name(self) -> None:
        result = pa.explain("timm:tf_efficientnet_lite0", np.zeros((64, 64, 3), np.uint8), size=64)
        assert result.method == "grad_cam"
        assert "tabby" in result.classes

    def test_of_torchvision_says_how_pixels_are_normalised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        state = models.squeezenet1_1().state_dict()
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: state)
        model = pa.load("torchvision:squeezenet1_1", pretrained=True)
        assert model.preprocessing.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
        assert torch.equal(model.network.state_dict()["features.0.weight"], state["features.0.weight"])

    @pytest.mark.parametrize("package", ["timm", "torchvision"])
    def test_without_a_network_is_one_line(self, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise URLError("no network\nat all")

        for client in (
            "timm.models._builder.load_state_dict_from_hf",
            "timm.models._builder.load_state_dict_from_url",
            "torchvision.models._api.load_state_dict_from_url",
        ):
            monkeypatch.setattr(client, unreachable)
        with pytest.raises(CheckpointError, match="are not on this machine and cannot be fetched") as error:
            pa.load(f"{package}:resnet18", pretrained=True)
        assert "\n" not in str(error.value)

    def test_a_network_without_a_classifier(self) -> None:
        with pytest.raises(UsageError, match="has no classifier of its own: payattention train --model timm:vit_small"):
            pa.load("timm:vit_small_patch16_dinov3", pretrained=True)  # and nothing is fetched


class TestTransformers:
    @pytest.fixture
    def folder(self) -> str:
        """A ViT as save_pretrained writes it, with its image processor's configuration."""
        config = transformers.ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=32,
            patch_size=8,
        )
        config.id2label = {0: "cat", 1: "dog", 2: "owl"}
        transformers.ViTForImageClassification(config).save_pretrained("vit")
        Path("vit/preprocessor_config.json").write_text('{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}')
        return "transformers:vit"

    def test_a_folder(self, folder: str) -> None:
        model = pa.load(folder)
        assert (model.name, model.classes, model.sizes) == (folder, ("cat", "dog", "owl"), (32, 32))
        assert model.preprocessing.mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
        own = transformers.ViTForImageClassification.from_pretrained("vit").eval()
        images = torch.rand(1, 3, 32, 32)
        with torch.no_grad():
            assert torch.equal(model(images), own(model.preprocessing(images)).logits)

    def test_a_folder_of_pickles_is_never_opened(self, folder: str) -> None:
        torch.save({}, "vit/pytorch_model.bin")
        Path("vit/model.safetensors").unlink()
        with pytest.raises(CheckpointError, match="two lines of Python make a safetensors file of it"):
            pa.load(folder)

    def test_a_network_that_classifies_nothing(self, folder: str) -> None:
        transformers.ViTModel(transformers.ViTConfig.from_pretrained("vit")).save_pretrained("vit")
        with pytest.raises(CheckpointError, match=r"no whole classifier: \d+ tensors are missing \(classifier.bias\)"):
            pa.load(folder)
        transformers.T5Config().save_pretrained("t5")
        Path("t5/model.safetensors").touch()
        with pytest.raises(UsageError, match="T5Config describes no image classifier"):
            pa.load("transformers:t5")

    def test_no_folder_and_no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(CheckpointError, match=r"cannot be fetched .* or name a folder that save_pretrained wrote"):
            pa.load("transformers:nobody/nothing")
        Path("empty").mkdir()
        with pytest.raises(CheckpointError, match=r"empty: no config\.json there"):
            pa.load("transformers:empty")


class TestScript:
    @pytest.mark.parametrize(("name", "classes"), [("make_model", 3), ("wrapped", 3), ("Net", 2), ("made", 2)])
    def test_what_it_makes(self, name: str, classes: int, capsys: pytest.CaptureFixture[str]) -> None:
        model = pa.load(f"net.py:{name}")
        assert isinstance(model, Wrapped)
        assert (model.name, model.num_classes) == (f"net.py:{name}", classes)
        assert model.classes == (("cat", "dog", "owl") if name == "wrapped" else ())
        assert capsys.readouterr().out == ""  # JSON goes there

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("net.py", r"net\.py: name the function in it that makes the network, net\.py:make_model"),
            ("net.py:make_modl", r"unknown function of net\.py 'make_modl'; did you mean 'make_model'"),
            ("net.py:needs", r"net\.py:needs takes arguments \(depth, height\): name a function without any"),
            (
                "net.py:nothing",
                r"net\.py:nothing returned nothing \(has it a return\?\): it is to return an nn\.Module",
            ),
            ("net.py:number", r"net\.py:number returned something of type int"),
            ("net.py:raises", r"net\.py:raises raised KeyError: 'depth' \(line 36\)"),
            ("net.py:leaves", r"net\.py:leaves raised SystemExit: never \(line 40\)"),
            ("star.py:nowhere", r"star\.py:nowhere raised AttributeError"),
            ("broken.py:make_model", r"broken\.py, line 1: not Python \(.*\)"),
            ("nowhere.py:make_model", r"nowhere\.py: no such file"),
        ],
    )
    def test_mistakes(self, name: str, message: str) -> None:
        with pytest.raises(PayAttentionError, match=message) as error:
            pa.load(name)
        assert "\n" not in str(error.value)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "options", "message"),
        [
            ("tim:resnet18", {}, "unknown kind of model 'tim:'; did you mean 'timm:'"),
            ("torchvision:", {}, "torchvision: names no network: write torchvision:NAME"),
            ("torchvision:resnet81", {}, "unknown torchvision network 'resnet81'; did you mean 'resnet18'"),
            ("timm:resnet18.a9", {}, "'resnet18' has no weights tagged 'a9'"),
            ("resnet18", {}, "did you mean timm:resnet18 or torchvision:resnet18"),
            ("net.py:make_model", {"pretrained": True}, "--pretrained is for timm:NAME and torchvision:NAME; net.py"),
            ("transformers:vit", {"weights": "w"}, "--weights is for timm:NAME and torchvision:NAME; transformers:vit"),
            ("runs/a", {"classes": ("a", "b")}, "--class-names is for a network that was not made here"),
        ],
    )
    def test_mistakes(self, text: str, options: dict[str, object], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            pa.load(text, **options)

    def test_a_file_or_folder_that_is_called_like_a_name_is_that(self) -> None:
        Path("timm:resnet18").mkdir()
        assert isinstance(named("timm:resnet18"), SavedModel)
        assert isinstance(named("timm:resnet34"), Borrowed)

    def test_one_logit_is_no_classifier(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
        with pytest.raises(UsageError, match="Sequential returns one logit"):
            pa.wrap(network)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("vgg_att2_concat_pc", False),
        ("timm:resnet18", False),
        ("vgg_att2_concat_pc.cifar10", True),
        ("hf-hub:me/photos", True),
        ("torchvision:resnet18", True),
        ("gone.safetensors", True),
    ],
)
def test_a_network_to_make_is_told_from_a_model(text: str, there: bool) -> None:
    assert of_a_model(text) == there
