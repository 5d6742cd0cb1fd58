"""Training by Winograd's algorithm: the network that comes out is the plain one, trained the same but for rounding."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_resume import Killed, at_step, kill, left_by_kills, outcome, recipe
from torch import nn

import payattention as pa
from launching import run_in_two_processes
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.models.rewrites.winograd import WinogradConv2d, by_winograd, faster_in_training
from payattention.runs.config import RunConfig
from payattention.runs.experiment import resume, train_and_test
from payattention.system.machine import choosing
from payattention.training.execution import FASTEST, Execution
from payattention.training.fit import fit, new_model
from payattention.training.recipe import Recipe

ROOT = Path(__file__).parents[2]
MODULE = sys.modules["payattention.models.rewrites.winograd"]
MODEL, SMALL = "vgg_att2_concat_pc", 0.0625
STILL = Recipe(summary="test", epochs=1, batch_size=8, lr=1e-4, mirror=False, dropout=0.0)
"""Four steps at a rate so low that batch norm of few images does not multiply rounding."""


@pytest.fixture
def _everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even in networks so small that it does not pay."""
    monkeypatch.setattr(MODULE, "_MIN_CHANNELS", 1)
    monkeypatch.setattr(MODULE, "faster_in_training", lambda *_: True)


def types_of(model: nn.Module) -> list[type]:
    return [type(module) for module in model.modules()]


@pytest.mark.float32
@pytest.mark.usefixtures("_everywhere")
@pytest.mark.parametrize("name", [MODEL, "timm:resnet10t"])
def test_it_trains_the_plain_network_to_rounding(name: str, image_set: ImageSet, tmp_path: Path) -> None:
    models = []
    for winograd in (True, False):
        model = new_model(name, image_set, STILL, width=1.0 if name.startswith("timm:") else SMALL)
        assert Execution(winograd=winograd).convolutions(model) == ("winograd" if winograd else "direct")
        before = types_of(model)
        fit(model, image_set, STILL, out=tmp_path, execution=Execution(winograd=winograd))
        assert types_of(model) == before
        models.append(model)
    fast, plain = (model.state_dict() for model in models)
    assert fast.keys() == plain.keys()
    assert not all(torch.equal(value, plain[key]) for key, value in fast.items())  # it was another algorithm
    for key, value in plain.items():
        torch.testing.assert_close(fast[key], value, rtol=1e-3, atol=1e-3, msg=lambda m, k=key: f"{k}: {m}")
    pa.save(models[0], tmp_path / "saved")
    saved = pa.load(tmp_path / "saved").state_dict()
    assert all(torch.equal(saved[key], value) for key, value in fast.items())


@pytest.mark.float32
@pytest.mark.usefixtures("_everywhere")
@pytest.mark.parametrize("fields", [{}, {"optimizer": "muon", "averaging": 0.5}])
def test_a_run_that_is_killed_goes_on_to_the_same_weights(
    fields: dict[str, object], image_set: ImageSet, tmp_path: Path
) -> None:
    """With sheets, for which the network looks by Winograd's algorithm between two steps."""

    config = RunConfig(MODEL, recipe(**fields), width=SMALL, save_every=2, sheet_every=1, seed=3)
    steps = (3, 5, 11)
    with left_by_kills(tmp_path / "whole", steps):
        train_and_test(config, image_set, image_set, tmp_path / "whole")
    for step in steps:
        out = tmp_path / str(step)
        assert json.loads((out / "config.json").read_text())["convolutions"] == "winograd"
        resume(out, image_set, image_set)
        assert outcome(out) == outcome(tmp_path / "whole"), step


@pytest.mark.usefixtures("_everywhere")
def test_a_run_from_before_there_was_a_choice_goes_on_without(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_and_test(
        RunConfig(MODEL, recipe(), width=SMALL, winograd=False, seed=3), image_set, image_set, tmp_path / "whole"
    )
    with at_step(5, kill), pytest.raises(Killed):
        train_and_test(
            RunConfig(MODEL, recipe(), width=SMALL, winograd=False, seed=3), image_set, image_set, tmp_path / "run"
        )
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("convolutions") == "direct"
    file.write_text(json.dumps(config))
    resume(tmp_path / "run", image_set, image_set)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


PROCESSES = """
import shutil
import sys
from pathlib import Path

import numpy as np

from payattention.data import ImageSet
from payattention.runs.config import RunConfig
from payattention.runs.experiment import resume, train_and_test
from payattention.system.processes import here
from test_resume import at_step, recipe

MODULE = sys.modules["payattention.models.rewrites.winograd"]
MODULE._MIN_CHANNELS, MODULE.faster_in_training = 1, lambda *_: True
images = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
data = ImageSet("noise", "train", images, np.arange(32) % 2, ("a", "b"))

def left_by_a_kill():
    if here().first:
        shutil.copytree("whole", "run")

if Path("run").exists():
    resume(Path("run"), data, data)
else:
    with at_step(5, left_by_a_kill):
        config = RunConfig("vgg_att2_concat_pc", recipe(epochs=2), width=0.0625, save_every=2)
        train_and_test(config, data, data, Path("whole"))
"""


@pytest.mark.slow
def test_so_does_a_run_of_two_processes(tmp_path: Path) -> None:
    for _ in ("whole", "resumed"):
        for done in run_in_two_processes(PROCESSES, [], tmp_path):
            assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["processes"], config["convolutions"]) == (2, "winograd")


@pytest.mark.parametrize(
    ("shape", "out_channels", "faster"),
    [
        ((64, 256, 32, 32), 256, True),  # conv6 at full width
        ((64, 512, 8, 8), 512, True),  # conv13
        ((64, 64, 32, 32), 64, False),  # the transforms cost more than they save
        ((4, 512, 8, 8), 512, False),  # few tiles for so many weights
        ((64, 128, 6, 6), 128, False),  # four tiles, mostly padding
    ],
)
def test_it_is_left_where_it_was_measured_to_be_slower(shape: tuple[int, ...], out_channels: int, faster: bool) -> None:
    assert faster_in_training(shape, out_channels) == faster
    conv = WinogradConv2d(shape[1], out_channels, 3, padding=1, device="meta")
    images = torch.empty(1).expand(shape)
    assert conv._pays(images) == faster
    with torch.no_grad():
        assert conv._pays(images)


@pytest.mark.float32
def test_it_is_for_float32_on_a_cpu_not_compiled_and_channels_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pa.create_model(MODEL, 3, 0.25)
    assert FASTEST.convolutions(model) == "winograd"
    assert Execution(compiled=True).convolutions(model) == "direct"
    assert FASTEST.convolutions(pa.create_model(MODEL, 3, 0.125)) == "direct"
    frozen = pa.attach("resnet10t", 3, freeze=True)
    assert FASTEST.convolutions(frozen) == "direct"  # its convolutions run once, before it is trained
    with choosing("auto", "bf16", None):
        assert FASTEST.convolutions(model) == "direct"
    monkeypatch.setattr("payattention.training.execution.chosen_device", lambda: torch.device("cuda"))
    assert FASTEST.convolutions(model) == "direct"


def test_whatever_ends_it_the_convolutions_are_put_back() -> None:
    model = pa.create_model(MODEL, 3, 0.25)
    before = types_of(model)

    def interrupted() -> None:
        with by_winograd(model):
            assert WinogradConv2d in types_of(model)
            with torch.no_grad():
                model(torch.rand(2, 3, 32, 32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert types_of(model) == before
    assert not any("_kept" in vars(module) for module in model.modules())


@pytest.mark.float32
@pytest.mark.usefixtures("_everywhere")
@pytest.mark.parametrize("words", [[], ["--no-winograd"]])
def test_the_command_line_can_switch_it_off_and_the_result_tells(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_set: ImageSet
) -> None:
    for k, (pixels, label) in enumerate(zip(image_set.images, image_set.labels, strict=True)):
        file = tmp_path / "pictures" / image_set.classes[label] / f"{k:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    monkeypatch.chdir(tmp_path)
    shape = ["--data", "folder:pictures", "--width", "0.0625", "--epochs", "1", "--out", "run"]
    assert run(["train", *shape, *words]) == 0
    for name in ("config.json", "result.json"):
        assert json.loads(Path("run", name).read_text())["convolutions"] == ("direct" if words else "winograd")
