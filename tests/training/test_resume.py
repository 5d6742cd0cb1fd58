"""No run is lost: whatever stops it, it goes on to the same weights, bit by bit."""

import errno
import inspect
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from payattention.cli.app import run
from payattention.cli.train import train
from payattention.data import ImageSet
from payattention.errors import CheckpointError, DataError, PayAttentionError, UsageError
from payattention.runs.config import RunConfig
from payattention.runs.experiment import resume, train_and_test
from payattention.system.processes import Processes
from payattention.training import feature_shards, features
from payattention.training.callbacks.snapshots import EVERY, _set_random_state
from payattention.training.loop import Run
from payattention.training.objective import Cost, Objective
from payattention.training.recipe import Recipe, load_recipe
from payattention.training.snapshot import written
from payattention.training.stopping import Stopped

ROOT = Path(__file__).parents[2]
MODEL = "vgg_att2_concat_pc"


def recipe(**fields: object) -> Recipe:
    """Three epochs of four steps; dropout, momentum, growing images, and everything random there is."""
    fixed = {"summary": "test", "epochs": 3, "batch_size": 8, "lr": 0.05, "nesterov": True, "dropout": 0.5}
    pictures = {"shift": 2, "cutout": 8, "flips": "alternating", "sizes": (0.5, 1.0), "schedule": "one_cycle"}
    return Recipe(**(fixed | pictures | fields))


def begin(
    out: Path, data: ImageSet, chosen: Recipe, save_every: int = 2, model: str = MODEL, **options: object
) -> None:
    width = 1.0 if model.startswith("timm:") else 0.0625
    train_and_test(
        RunConfig(model, chosen, width=width, save_every=save_every, options=options, seed=3), data, data, out
    )


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


@contextmanager
def in_each_step(act: Callable[[int], object]) -> Iterator[None]:
    """Does something in the middle of every step, told how many went before it."""
    original, steps = Objective.forward, count()

    def step(self: Objective, inputs: object, labels: torch.Tensor) -> Cost:
        result = original(self, inputs, labels)
        act(next(steps))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "forward", step)
        yield


def at_step(number: int, act: Callable[[], object]) -> AbstractContextManager[None]:
    """Does something in the middle of the step that follows `number` others."""
    return in_each_step(lambda step: act() if step == number else None)


def kill() -> None:
    raise Killed


def left_by_kills(out: Path, steps: Collection[int]) -> AbstractContextManager[None]:
    """Leaves beside a run, under the number of each of these steps, the folder as a kill -9 in it would."""
    return in_each_step(lambda step: shutil.copytree(out, out.parent / str(step)) if step in steps else None)


def outcome(out: Path) -> tuple[bytes, list[tuple[float, ...]]]:
    """The weights' file, and the metrics but for the times."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    metrics = [tuple(line[name] for name in ("epoch", "step", "loss", "train_error", "lr")) for line in lines]
    assert json.loads((out / "result.json").read_text())["curve"] == lines
    return (out / "model.safetensors").read_bytes(), metrics


RECIPES = {
    "sgd": recipe(),
    "muon": recipe(optimizer="muon"),
    "averaged": recipe(averaging=0.5),
    "fast": load_recipe("fast", {"epochs": 3, "batch_size": 8, "cutout": 8, "averaging": 0.5, "bias_factor": 16}),
    "adamw": recipe(optimizer="adamw", nesterov=False, lr=1e-3, sampling="balanced", flips="random", schedule="steps"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_that_is_killed_at_any_step_goes_on_to_the_same_weights(
    name: str, image_set: ImageSet, tmp_path: Path
) -> None:
    model, options = ("fast_att2_concat_dp", {"whiten": True}) if name == "fast" else (MODEL, {})
    steps = (3, 4, 5, 8, 11)  # within an epoch, at its first step, within the last one
    with left_by_kills(tmp_path / "whole", steps):
        begin(tmp_path / "whole", image_set, RECIPES[name], model=model, **options)
    for step in steps:
        out = tmp_path / str(step)
        resume(out, image_set, image_set)
        assert outcome(out) == outcome(tmp_path / "whole"), step
        assert {p.name for p in out.iterdir()} == {
            "config.json", "metrics.csv", "metrics.jsonl", "model.safetensors", "result.json",
        }  # fmt: skip


def test_a_run_may_be_killed_again_and_again(image_set: ImageSet, tmp_path: Path) -> None:
    begin(tmp_path / "whole", image_set, recipe())
    with at_step(3, kill), pytest.raises(Killed):
        begin(tmp_path / "run", image_set, recipe())
    for _ in range(3):
        with at_step(3, kill), pytest.raises(Killed):
            resume(tmp_path / "run", image_set, image_set)
    resume(tmp_path / "run", image_set, image_set)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_frozen_backbone_goes_on_too_and_is_not_saved_again(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What memory has no room for is there at once, when it goes on."""
    probe = load_recipe("probe", {"epochs": 2, "batch_size": 8})
    options = {"freeze": True, "levels": 1}
    begin(tmp_path / "whole", image_set, probe, model="timm:resnet10t", **options)
    out = tmp_path / "run"
    monkeypatch.setattr(features, "fits", lambda needed: False)
    with at_step(6, kill), pytest.raises(Killed):
        begin(out, image_set, probe, model="timm:resnet10t", **options)
    assert [*out.glob("features/*/000000-*.bin")]
    assert written(out / "snapshots")[-1].stat().st_size < (out / "start.safetensors").stat().st_size / 2
    monkeypatch.setattr(feature_shards.Shards, "_write", lambda *_: pytest.fail("made again"))
    resume(out, image_set, image_set)
    assert outcome(out) == outcome(tmp_path / "whole")
    assert not (out / "features").exists()


def test_a_trained_run_is_only_measured(image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path / "whole", image_set, recipe())
    with monkeypatch.context() as patch:
        patch.setattr("payattention.runs.experiment.classify", lambda *_, **__: kill())
        with pytest.raises(Killed):
            begin(tmp_path / "run", image_set, recipe())
    with at_step(0, kill):
        _, result = resume(tmp_path / "run", image_set, image_set)
    assert result["test"]["count"] == 32
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_at_once_and_says_how_to_go_on(
    number: signal.Signals, status: int, image_set: ImageSet, tmp_path: Path
) -> None:
    begin(tmp_path / "whole", image_set, recipe())
    before = signal.getsignal(number)
    with at_step(2, lambda: os.kill(os.getpid(), number)), pytest.raises(Stopped, match="step 3, saved; go on") as told:
        begin(tmp_path / "run", image_set, recipe(), save_every=EVERY)
    assert told.value.exit_code == status
    assert signal.getsignal(number) is before
    assert [file.name for file in written(tmp_path / "run" / "snapshots")] == ["step-000000003.safetensors"]
    resume(tmp_path / "run", image_set, image_set)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_second_ctrl_c_stops_at_once(image_set: ImageSet, tmp_path: Path) -> None:
    def twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with at_step(4, twice), pytest.raises(Stopped, match=r"stopped at once; the last that was saved is .*step-0+4\."):
        begin(tmp_path / "run", image_set, recipe(), save_every=EVERY)


def test_weights_that_are_not_finite_are_never_saved(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, steps = Objective.forward, count()

    def diverging(self: Objective, inputs: object, labels: torch.Tensor) -> Cost:
        loss, wrong = original(self, inputs, labels)
        return Cost(loss if next(steps) < 5 else loss * torch.nan, wrong)

    told = r"no longer finite at step 6, in epoch 2 \(learning rate 0\.0\d+\); try a lower rate.* saved is .*-0+4\."
    monkeypatch.setattr(Objective, "forward", diverging)
    with pytest.raises(PayAttentionError, match=told):
        begin(tmp_path / "run", image_set, recipe())


def test_a_full_disk_leaves_the_snapshots_whole(image_set: ImageSet, tmp_path: Path) -> None:
    """The disk is full for any file of more than 10 kB."""
    begin(tmp_path / "whole", image_set, recipe())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = r"step-0+6.safetensors: could not be written .*last that was saved is .*-0+4\..*when that is mended, go on"
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with at_step(4, full), pytest.raises(PayAttentionError, match=told):
            begin(tmp_path / "run", image_set, recipe())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    snapshots = tmp_path / "run" / "snapshots"
    assert sorted(snapshots.iterdir()) == written(snapshots)  # no half of one
    resume(tmp_path / "run", image_set, image_set)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_disk_that_is_full_from_the_start_leaves_nothing(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run/snapshots/x")

    monkeypatch.setattr("payattention.training.snapshot.save_file", full)
    with pytest.raises(CheckpointError, match=r"could not be written .*No space left"):
        begin(tmp_path / "run", image_set, recipe())
    assert not (tmp_path / "run").exists()


def test_a_damaged_snapshot_gives_way_to_the_one_before_it(image_set: ImageSet, tmp_path: Path) -> None:
    begin(tmp_path / "whole", image_set, recipe())
    with at_step(7, kill), pytest.raises(Killed):
        begin(tmp_path / "run", image_set, recipe())
    last = written(tmp_path / "run" / "snapshots")[-1]
    last.write_bytes(last.read_bytes()[:-100])
    (last.parent / ".0.partial.safetensors").write_bytes(b"half of one")
    with at_step(1, kill), pytest.raises(Killed):
        resume(tmp_path / "run", image_set, image_set)
    assert [file.name for file in last.parent.iterdir()] == ["step-000000004.safetensors"]
    resume(tmp_path / "run", image_set, image_set)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_snapshot_of_another_optimizer_is_refused(image_set: ImageSet, tmp_path: Path) -> None:
    with at_step(7, kill), pytest.raises(Killed):
        begin(tmp_path / "run", image_set, recipe())
    config = json.loads((tmp_path / "run/config.json").read_text())
    changed = config | {"recipe": config["recipe"] | {"optimizer": "muon"}}
    (tmp_path / "run/config.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match=r"run/snapshots: not snapshots of a run by this config.json \(.*group"):
        resume(tmp_path / "run", image_set, image_set)


def test_a_new_run_never_goes_on_with_an_old_one(image_set: ImageSet, tmp_path: Path) -> None:
    with at_step(7, kill), pytest.raises(Killed):
        begin(tmp_path / "run", image_set, recipe())
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    with pytest.raises(UsageError, match="run: there is a run already; resume it, or take another folder"):
        begin(tmp_path / "run", image_set, recipe(lr=0.01))
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before
    resume(tmp_path / "run", image_set, image_set)
    with pytest.raises(UsageError, match="there is a run already"):
        begin(tmp_path / "run", image_set, recipe(lr=0.01))


def test_other_data_is_refused(image_set: ImageSet, tmp_path: Path) -> None:
    with at_step(7, kill), pytest.raises(Killed):
        begin(tmp_path / "run", image_set, recipe())
    with pytest.raises(DataError, match=r"not what this run was begun on .*train: 32 then, 30 now"):
        resume(tmp_path / "run", image_set.first(30), image_set)


@pytest.fixture
def pictures(image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The images as files in class folders, below the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)
    for k, (pixels, label) in enumerate(zip(image_set.images, image_set.labels, strict=True)):
        file = tmp_path / "pictures" / image_set.classes[label] / f"{k:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return "folder:pictures"


def command(data: str, out: str) -> list[str]:
    fields = ("batch_size=4", "sizes=[1.0]", "dropout=0.5")
    shape = ["train", "--data", data, "--out", out, "--width", "0.0625", "--epochs", "2", "--hold-out", "0.25"]
    return [*shape, "--save-every", "2", *(word for field in fields for word in ("--recipe-set", field))]


class TestFromTheCommandLine:
    @pytest.fixture
    def stopped(self, pictures: str, capsys: pytest.CaptureFixture[str]) -> str:  # what it printed is read later
        with at_step(4, lambda: os.kill(os.getpid(), signal.SIGTERM)):
            assert run(command(pictures, "run")) == 143
        return "run"

    def test_resume_needs_nothing_else(
        self, stopped: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("payattention: stopped at step 5, saved; go on with: ")
        assert last.endswith(" train --resume run")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")  # the pictures were named by a path relative to another folder
        assert run(["train", "--resume", "../run", "--json"]) == 0
        printed = capsys.readouterr()
        assert "going on after step 5, in epoch 2" in printed.err
        result = json.loads(printed.out)
        assert result["run"] == "../run"
        assert result["data"]["name"] == "folder:pictures"
        assert str(tmp_path) not in printed.out
        monkeypatch.chdir(tmp_path)
        assert run(command("folder:pictures", "whole")) == 0
        assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")

        assert run(["train", "--resume", "run"]) == 2
        assert "run: this run is finished; measure it with" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "status", "message"),
        [
            ("--resume nowhere", 1, "nowhere: no run to resume there (no config.json)"),
            ("--resume pictures", 1, "pictures: no run to resume there"),
            ("--resume run --epochs 9", 2, "this run is not finished; resume it first, without --epochs"),
            ("--resume run --freeze --set dropout=1", 2, "leave out --freeze, --set"),
            ("--resume damaged", 1, "config.json: damaged; begin a new run"),
            ("--resume old", 1, "old: this run cannot be resumed (no save_every, compiled); begin a new one"),
            ("--resume python", 2, "python: this run was begun from Python: go on there with"),
            ("--resume recipe", 1, "recipe/config.json: not a recipe of this version (unknown recipe field 'rate'"),
            ("--resume reading", 1, "config.json: not a reading of this version (unknown wanted field 'limits'; did"),
            ("--resume seed", 1, "seed/config.json: damaged (seed is '3': a whole number is needed); begin a new run"),
            ("--resume list", 1, "list/config.json: damaged; begin a new run"),
            ("--save-every 0", 2, "--save-every"),
        ],
    )
    def test_a_mistake_is_one_line(
        self, stopped: str, words: str, status: int, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config = json.loads(Path(stopped, "config.json").read_text())
        old = {name: config[name] for name in ("data", "recipe", "seed")}
        contents = {
            "old": old,
            "python": config | {"reading": None},
            "recipe": config | {"recipe": config["recipe"] | {"rate": 1}},
            "reading": config | {"reading": config["reading"] | {"limits": 1}},
            "seed": config | {"seed": "3"},
            "list": [],
        }
        for name, content in {"damaged": "{", **{name: json.dumps(item) for name, item in contents.items()}}.items():
            Path(name).mkdir()
            Path(name, "config.json").write_text(content)
            Path(name, "start.safetensors").touch()
        capsys.readouterr()
        assert run(["train", *words.split()]) == status
        printed = capsys.readouterr()
        assert message in printed.err.strip().splitlines()[-1]
        assert printed.out == ""

    def test_the_interval_in_the_help_is_that_of_the_library(self) -> None:
        assert inspect.signature(train).parameters["save_every"].default == EVERY


def test_the_snapshots_are_no_pickles(image_set: ImageSet, tmp_path: Path) -> None:
    with at_step(5, kill), pytest.raises(Killed):
        begin(tmp_path / "run", image_set, recipe())
    for file in tmp_path.rglob("run/**/*.safetensors"):
        with safe_open(file, "pt") as opened:
            assert all(isinstance(text, str) for text in opened.metadata().values())


def test_the_benchmark_of_kills(tmp_path: Path) -> None:
    """A few real kills -9 at random moments, each followed by a resumption to the same bits."""
    script, out = ROOT / "benchmarks" / "kills.py", tmp_path / "kills.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(script), "--kills", "2", "--out", str(out)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["kills"] == result["bit_equal"] == 2
    assert sum(result["killed"].values()) == 2


def test_each_of_several_processes_gets_its_own_random_numbers_back() -> None:
    states = [torch.manual_seed(seed).get_state() for seed in (1, 2)]
    torch.manual_seed(3)
    second = Mock(spec=Run, processes=Processes(rank=1, count=2), device=torch.device("cpu"))
    _set_random_state(second, {"cpu": torch.stack(states)})
    assert torch.equal(torch.get_rng_state(), states[1])


def test_only_runs_can_be_resumed_from_python(tmp_path: Path, image_set: ImageSet) -> None:
    with pytest.raises(CheckpointError, match="no run to resume there"):
        resume(tmp_path, image_set, image_set)
    begin(tmp_path / "run", image_set, recipe(epochs=1))
    with pytest.raises(UsageError, match="this run is finished"):
        resume(tmp_path / "run", image_set, image_set)
