"""A mistake is found at once: before PyTorch is imported where that can be, and before any picture is decoded."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention import create_model, save
from payattention.cli.app import run
from payattention.data import decoding
from payattention.weights import header

WITHOUT_PYTORCH = [
    ("maps att good.png --out full", "full: this folder is not empty"),
    ("maps vgg good.png", "vgg has no attention maps"),
    ("maps nowhere good.png", "nowhere: no such run folder or file"),
    ("maps bare good.png", "bare: no model.safetensors in this folder"),
    ("maps text.safetensors good.png", "text.safetensors: damaged or not a safetensors file"),
    ("maps att nowhere.png", "nowhere.png: no such file"),
    ("maps att empty", "empty: no pictures in this folder"),
    ("maps att good.png --device gpu", "unknown device 'gpu'; did you mean 'cpu'"),
    ("maps att good.png --precision half", "unknown precision 'half'"),
    ("maps vgg good.png --method gradcam", "unknown method 'gradcam'; did you mean 'grad_cam'"),
    ("maps vgg good.png --method grad_cam --target 5", "target 5: the model's classes are 0 ... 2"),
    ("maps vgg good.png --method grad_cam --target cat", "the model knows its classes by number only"),
    ("maps named good.png --method grad_cam --target hamstr", "unknown class 'hamstr'; did you mean 'hamster'"),
    ("maps att good.png --method activation --target 1", "activation is one map whatever the class"),
    ("maps att good.png --target 1", "the attention of vgg_att_pc is one map whatever the class; name a method"),
    ("maps att good.png --style neon", "unknown style 'neon'"),
    ("maps att good.png --scale log", "unknown scale 'log'"),
    ("maps att good.png --only overlay", "unknown part 'overlay'; did you mean 'overlays'"),
    ("maps att good.png --only raw --style dim", "--style dim: raw maps are arrays"),
    ("maps att good.png --only raw --format jpg", "--format jpg: raw maps are arrays"),
    ("maps att good.png --only sheet --flat", "--flat: sheets lie side by side already"),
    ("maps att good.png --format gif", "unknown format 'gif'"),
    ("query vgg good.png good.png", "vgg has no query"),
    ("query att good.png nowhere.png", "nowhere.png: no such file"),
    ("segment vgg", "vgg has no attention maps"),
    ("segment att --out full", "full: this folder is not empty"),
    ("segment att --data pictures", "unknown data set 'pictures'"),
    ("compare att --out full", "full: this folder is not empty"),
    ("compare att --data cifar10", "cifar10 has no object masks"),
    ("attack att --out full", "full: this folder is not empty"),
    ("attack att --data cifar1", "did you mean 'cifar10'"),
    ("attack att --eps big", "'big' is not a number"),
    ("evaluate att --data cifar1", "did you mean 'cifar10'"),
    ("evaluate att --data cifar10 --split val", "unknown split 'val'"),
    ("evaluate att", "no config.json there"),
    ("evaluate att --data cluttered_digits", "the model has 3 classes, cluttered_digits has 10"),
    ("evaluate att --data folder:nowhere", "nowhere: no such folder"),
    ("attack att --data cluttered_digits", "the model has 3 classes, cluttered_digits has 10"),
    ("query att good.png good.png --level layer3", "unknown level of vgg_att_pc 'layer3'; did you mean 'layer13'"),
    ("transfer att --data cifar1", "did you mean 'cifar10'"),
    ("export att --out good.png", "--out good.png: give it a name that ends in .onnx or .pt2"),
    ("export att --to torch --out net.onnx", "--out net.onnx: give it a name that ends in .pt2"),
    ("export att --to onx", "unknown kind of file 'onx'; did you mean 'onnx'"),
    ("export att --to torch --int8", "int8 is of ONNX files, not of torch"),
    ("export att --to torch --data cifar10", "--data names the pictures that --int8 takes ranges from"),
    ("export att --int8 --size 32", "leave --size out"),
    ("export att --out there.onnx", "--out there.onnx: this file is there already; choose another name"),
    ("export nowhere", "nowhere: no such run folder or file"),
    ("figure maps vgg --picture good.png", "vgg has no attention maps"),
    ("figure query vgg --picture good.png --query good.png", "vgg has no query"),
    ("figure map att --picture good.png", "did you mean 'maps'"),
    ("maps timm:resnet81 good.png", "unknown timm network 'resnet81'; did you mean 'resnet18'"),
    ("segment torchvision:resnet81", "unknown torchvision network 'resnet81'; did you mean 'resnet18'"),
    ("evaluate tim:resnet18", "unknown kind of model 'tim:'; did you mean 'timm:'"),
    ("compare resnet18", "did you mean timm:resnet18 or torchvision:resnet18?"),
    ("attack timm:resnet18", "timm:resnet18 has no run folder, which would tell its data set: name one with --data"),
    ("transfer net.py:make --data cifar10", "unknown function of net.py 'make'; did you mean 'make_model'"),
    ("maps net.py:needs good.png", "net.py:needs takes arguments (depth)"),
    ("maps net.py good.png", "name the function in it that makes the network, net.py:make_model"),
    ("maps net.py:make_model good.png --pretrained", "--pretrained is for timm:NAME and torchvision:NAME"),
    ("maps timm:resnet18 good.png --weights none.pt", "none.pt: no such file of weights"),
    ("query timm:resnet18 good.png good.png", "train --model timm:resnet18 --set compatibility=additive"),
    ("figure query net.py:make_model --picture good.png --query good.png", "is used as it is, and has no query"),
    ("train --model torchvision:resnet18", "attention is trained on networks of this package"),
    ("train --model net.py:make_model", "or on a timm backbone: --model timm:NAME"),
    ("predict timm:resnet18 good.png --calibrate folder:x", "timm:resnet18 has no run folder, in which a temperature"),
    ("maps net.py:make_model good.png --method grad_can", "unknown method 'grad_can'; did you mean 'grad_cam'"),
    ("maps old.pt good.png", "two lines of Python make a safetensors file of it"),
    ("maps hf-hub:nobody good.png", "not a model's name on the Hub: write hf-hub:USER/NAME"),
    ("push att --license mit", "say where to: USER/NAME on the Hub, or --out FOLDER"),
    ("push att me/net", "a model card needs a licence"),
    ("push att me/net --license mti", "did you mean 'mit'"),
    ("push att me/net --license nope", "the Hub knows apache-2.0"),
    ("push att me/net --license mit --out full", "full: this folder is not empty"),
    ("train --out full", "full: this folder is not empty"),
    ("train --data cifar1", "did you mean 'cifar10'"),
    ("train --recipe modrn", "did you mean 'modern'"),
    ("train --recipe-set speed=1", "unknown recipe field 'speed'"),
    ("train --hold-out 2", "the held-out share is 2"),
    ("train --freeze", "--freeze is for timm's backbones"),
    ("train --init-from nowhere", "nowhere: no such run folder or file"),
    ("train --resume nowhere", "nowhere: no run to resume there"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models."""
    folder = tmp_path_factory.mktemp("saved")
    for name, network in (("vgg", "vgg"), ("att", "vgg_att_pc")):
        save(create_model(network, 3, 0.0625), folder / name)
    named = create_model("vgg", 3, 0.0625)
    named.classes = ("cat", "dog", "hamster")
    save(named, folder / "named")
    return folder


@pytest.fixture(autouse=True)
def _things(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    for folder in ("full", "bare", "empty"):
        Path(folder).mkdir()
    Path("full/file").touch()
    Path("text.safetensors").write_text("text")
    Path("net.py").write_text("def make_model():\n    pass\n\n\ndef needs(depth):\n    pass\n")
    Path("old.pt").touch()
    Path("there.onnx").touch()
    Image.new("RGB", (40, 40)).save("good.png")


@pytest.mark.parametrize(("command", "message"), WITHOUT_PYTORCH)
def test_without_pytorch(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command.split()) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_none_of_them_imports_pytorch() -> None:
    """All in one process, which starts without it; `--resume` imports what it must go on with."""
    commands = [command.split() for command, _ in WITHOUT_PYTORCH if "--resume" not in command]
    code = (
        "import sys\n"
        "from payattention.cli.app import run\n"
        f"for words in {commands!r}:\n"
        "    assert run(words)\n"
        "    assert not {'torch', 'timm', 'lightning', 'sklearn', 'matplotlib'} & sys.modules.keys(), words\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes that must not be decoded."""
    for k in range(8):
        path = Path("pictures", ("cat", "dog")[k % 2], f"{k}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), k, np.uint8)).save(path)

    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(decoding, "decode_picture", decoded)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "train --data folder:pictures --classes cat,cow",
            "unknown class of folder:pictures 'cow'; there are: cat, dog",
        ),
        ("train --data folder:pictures --classes cat", "folder:pictures: 1 class, 'cat' is too few to train on"),
        ("evaluate att --data folder:pictures", "the model has 3 classes, folder:pictures has 2"),
        ("evaluate att --data folder:pictures --classes cat,cow", "unknown class of folder:pictures 'cow'"),
        ("attack att --data folder:pictures", "the model has 3 classes, folder:pictures has 2"),
        ("transfer att --data folder:pictures --classes bird,dog", "unknown class of folder:pictures 'bird'"),
    ],
)
def test_wrong_classes_are_found_before_pictures_are_decoded(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command.split()) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_files_from_before_they_said_what_they_can_do_are_refused_when_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def early(file: Path, read: Callable[[Path], header.Header] = header.header_of) -> header.Header:
        found = read(file)
        said = {n: value for n, value in json.loads(found.text).items() if n not in ("levels", "query_dim")}
        return replace(found, text=json.dumps(said))

    monkeypatch.setattr(header, "header_of", early)
    assert header.saved(Path("vgg")).levels is None
    assert run(["maps", "vgg", "good.png"]) == 2
    assert "vgg has no attention maps" in capsys.readouterr().err
    assert run(["query", "vgg", "good.png", "good.png"]) == 2
    assert "vgg has no query" in capsys.readouterr().err
