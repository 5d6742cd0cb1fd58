"""The runner, on a program that only pretends to train: what is missing is done, once, and nothing is lost."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from payattention.errors import UsageError
from payattention.reproduce import Planned, Tally, Workplace, chosen_cells, plan
from payattention.reproduce.jobs import job_of
from payattention.reproduce.runner import run
from payattention.system.claim import claim

CPU = torch.device("cpu")
PAIR = ["cluttered_digits/vgg_att2_concat_pc/[ep]*"]  # a training, and a measurement of it
PRETENDED = """
import json, os, signal, sys, time
from pathlib import Path

words = sys.argv[1:]
with open("calls.txt", "a") as calls:
    print(*words, file=calls)
if words[0] == "train":
    run = Path(words[words.index("--resume" if "--resume" in words else "--out") + 1])
    run.mkdir(parents=True, exist_ok=True)
    behaviour = os.environ.get("PRETEND", "")
    if behaviour == "crash" and "vgg_gap" in run.name:
        print("payattention: the loss is no longer finite", file=sys.stderr)
        sys.exit(1)
    if behaviour == "killed" and "vgg_gap" in run.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour in ("told to stop", "endless") and "--resume" not in words:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        (run / "config.json").touch()
        (run / "start.safetensors").touch()
        os.kill(os.getpid() if behaviour == "told to stop" else os.getppid(), signal.SIGTERM)
        time.sleep(60)
    if behaviour == "silent":
        time.sleep(60)
    (run / "model.safetensors").touch()
    result = {"test": {"error": 7.5}, "root": os.environ.get("PAYATTENTION_DATA")}
    (run / "result.json").write_text(json.dumps(result))
    print(json.dumps({"run": str(run), **result}))
else:
    assert (Path(words[1]) / "model.safetensors").exists()
    print(json.dumps({"pointing": {"hits": {"combined": 90.0}}}))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    program = tmp_path / "pretended" / "payattention" / "__main__.py"
    program.parent.mkdir(parents=True)
    program.write_text(PRETENDED)
    (program.parent / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "pretended"))
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return Workplace(Path("results"), Path("runs"))


def queue(place: Workplace, patterns: list[str], seeds: tuple[int, ...] = (0,), retry: bool = False) -> list[Planned]:
    return plan(chosen_cells([], patterns), seeds, place, CPU, retry=retry)


def go(place: Workplace, patterns: list[str], seeds: tuple[int, ...] = (0,), minutes: float | None = None) -> Tally:
    return run(queue(place, patterns, seeds), place, lambda line: None, minutes)


def calls() -> list[str]:
    return Path("calls.txt").read_text().splitlines() if Path("calls.txt").exists() else []


def test_what_is_missing_is_done_once(place: Workplace) -> None:
    tally = go(place, PAIR, seeds=(0, 1))
    assert len(tally.done) == 4
    assert [call.split()[0] for call in calls()] == ["train", "evaluate", "train", "evaluate"]
    results = {file.name: json.loads(file.read_text()) for file in Path("results/cells").iterdir()}
    assert len(results) == 4
    trained = results["vgg_att2_concat_pc-cluttered_digits-quickstart-width0.125-epochs4-seed1.json"]
    assert trained["result"]["test"]["error"] == 7.5
    assert trained["settings"]["seed"] == 1
    assert trained["command"].startswith("payattention train --model vgg_att2_concat_pc --data cluttered_digits")
    assert trained["slices"] == 1

    assert queue(place, PAIR, seeds=(0, 1)) == []


def test_the_weights_are_made_again_where_a_measurement_needs_them(place: Workplace) -> None:
    go(place, PAIR)
    Path("runs/vgg_att2_concat_pc-cluttered_digits-quickstart-width0.125-epochs4-seed0/model.safetensors").unlink()
    assert queue(place, PAIR) == []  # nothing needs them
    next(Path("results/cells").glob("evaluate-*.json")).unlink()
    assert [planned.cells for planned in queue(place, PAIR)] == [
        (),
        ("cluttered_digits/vgg_att2_concat_pc/pointing",),
    ]
    assert len(go(place, PAIR).done) == 2


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("crash", "the loss is no longer finite"), ("killed", "killed by signal 9")]
)
def test_a_cell_that_fails_takes_nothing_with_it(
    place: Workplace, behaviour: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patterns = ["cluttered_digits/vgg_gap/[ep]*", "cluttered_digits/vgg/error"]
    monkeypatch.setenv("PRETEND", behaviour)
    tally = go(place, patterns)
    (failed,) = tally.failed.items()
    assert failed == ("vgg_gap-cluttered_digits-quickstart-width0.125-epochs4-seed0", reason)
    assert tally.done == ["vgg-cluttered_digits-quickstart-width0.125-epochs4-seed0"]

    obstacles = {planned.job.name: planned.obstacle for planned in queue(place, patterns)}
    assert set(obstacles.values()) == {f"failed: {reason}"}  # of the training, and of what waits for it
    monkeypatch.delenv("PRETEND")
    assert len(run(queue(place, patterns, retry=True), place, lambda line: None).done) == 2
    assert queue(place, patterns) == []


def test_a_training_that_was_stopped_goes_on(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETEND", "told to stop")
    tally = go(place, PAIR)
    assert (len(tally.stopped), len(tally.waiting)) == (1, 1)
    assert not Path("results").exists()

    assert len(go(place, PAIR).done) == 2
    assert calls()[1] == f"train --resume runs/{tally.stopped[0]} --json"
    content = json.loads(Path(f"results/cells/{tally.stopped[0]}.json").read_text())
    assert content["slices"] == 2
    assert "--resume" not in content["command"]


def test_what_cannot_be_stopped_is_not_begun_without_the_time(place: Workplace) -> None:
    go(place, ["cluttered_digits/vgg_att2_concat_pc/error"])
    tally = go(place, PAIR, minutes=0.01)
    assert len(tally.waiting) == 1
    assert len(calls()) == 1


def test_what_took_longer_than_expected_waits_for_a_longer_slice(place: Workplace) -> None:
    go(place, ["cluttered_digits/vgg_att2_concat_pc/error"])
    (planned,) = queue(place, PAIR)
    assert planned.hours < 9 / 60
    place.slices(planned.job).write_text("1000.00 1540.00\n")  # nine minutes, and it was stopped
    assert go(place, PAIR, minutes=9).waiting == [planned.job.name]
    assert go(place, PAIR, minutes=20).done == [planned.job.name]


def test_a_training_that_nobody_collected_is_not_run_again(place: Workplace) -> None:
    pattern = ["cluttered_digits/vgg/error"]
    (done,) = go(place, pattern).done
    Path(f"results/cells/{done}.json").unlink()
    assert go(place, pattern).done == [done]
    assert len(calls()) == 1


@pytest.mark.parametrize(("left", "slices"), [("result.json", 1), ("config.json", 2)], ids=["orphan", "both killed"])
def test_the_time_of_a_slice_whose_runner_was_killed_counts(place: Workplace, left: str, slices: int) -> None:
    """The runner was killed after it had noted the beginning; the command lived for seven seconds more."""
    pattern = ["cluttered_digits/vgg/error"]
    (done,) = go(place, pattern).done
    began = time.time() - 1000
    Path(f"runs/{done}.slices").write_text(f"{began:.2f}")
    Path(f"results/cells/{done}.json").unlink()
    if left == "config.json":
        Path(f"runs/{done}/result.json").unlink()
        Path(f"runs/{done}/start.safetensors").touch()
    Path(f"runs/{done}/{left}").touch()
    for file in (*Path(f"runs/{done}").iterdir(), Path(f"runs/{done}.log")):
        os.utime(file, (began + 7, began + 7))
    assert go(place, pattern).done == [done]
    content = json.loads(Path(f"results/cells/{done}.json").read_text())
    assert content["slices"] == slices
    assert 7 <= content["seconds"] < 500


def test_a_claimed_cell_is_left_to_its_process(place: Workplace) -> None:
    (planned,) = queue(place, ["cluttered_digits/vgg/error"])
    with claim(place.runs / f"{planned.job.name}.claim") as mine:
        assert mine is not None
        assert go(place, ["cluttered_digits/vgg/error"]).elsewhere == [planned.job.name]
    assert go(place, ["cluttered_digits/vgg/error"]).done == [planned.job.name]


def test_a_claim_ends_with_the_last_process_that_holds_it(tmp_path: Path) -> None:
    """However it ends: a kill leaves no stale claim, and a command outlives its runner with the claim."""
    file = tmp_path / "job.claim"
    with claim(file) as mine:
        assert mine is not None
        heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(mine,))
    with claim(file) as other:
        assert other is None
    heir.kill()
    heir.wait()
    with claim(file) as other:
        assert other is not None


def test_runners_share_the_work(place: Workplace) -> None:
    """The lock is on the opened file, so two threads stand for two processes."""
    patterns = ["cluttered_digits/vgg_att*/error"]
    planned = queue(place, patterns)
    with ThreadPoolExecutor(3) as runners:
        tallies = list(runners.map(lambda _: run(planned, place, lambda line: None), range(3)))
    done = [name for tally in tallies for name in tally.done]
    assert sorted(done) == sorted(p.job.name for p in planned)
    assert len(calls()) == len(planned) == 10


def test_the_end_of_the_slice_stops_the_command(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETEND", "silent")
    tally = go(place, ["cluttered_digits/vgg/error", "cluttered_digits/vgg_gap/error"], minutes=1 / 60)
    assert (len(tally.stopped), len(tally.waiting)) == (1, 1)


def test_sigterm_stops_the_command_too(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent by the command itself here, once that can be stopped."""
    monkeypatch.setenv("PRETEND", "endless")
    with pytest.raises(KeyboardInterrupt):
        go(place, ["cluttered_digits/vgg/error"])
    with claim(place.runs / "vgg-cluttered_digits-quickstart-width0.125-epochs4-seed0.claim") as mine:
        assert mine is not None  # so the command has ended
    assert go(place, ["cluttered_digits/vgg/error"]).done
    assert "--resume" in calls()[1]


def test_a_broken_result_is_named_and_kept(place: Workplace) -> None:
    cell = chosen_cells([], ["cluttered_digits/vgg/error"])[0]
    file = place.result(job_of(cell, 0))
    file.parent.mkdir(parents=True)
    file.write_text('{"settings": ')
    patterns = ["cluttered_digits/vgg/error", "cluttered_digits/vgg_gap/error"]
    broken = next(planned for planned in queue(place, patterns) if planned.obstacle)
    assert broken.obstacle is not None
    assert broken.obstacle.startswith(f"{file}: not JSON (")
    assert len(go(place, patterns).done) == 1
    assert file.read_text() == '{"settings": '


def test_data_that_is_not_here_is_an_obstacle(place: Workplace) -> None:
    here = Workplace(place.results, place.runs, Path("nowhere"))
    assert {p.obstacle for p in queue(here, ["table2/vgg/*"])} == {"no data here: svhn", "no data here: cub200"} | {
        "no data here: cifar100"
    }


def test_the_first_seed_and_the_cheap_and_telling_cells_come_first(place: Workplace) -> None:
    cells = chosen_cells([], ["table1/vgg*/cifar10", "cluttered_digits/vgg*/error"])
    order = [(p.job.seed, p.job.data, getattr(p.job, "model", "")) for p in plan(cells, (0, 1), place, CPU)]
    assert {model for *_, model in order[:2]} == {"vgg", "vgg_earlypool_att2_concat_pc"}  # the cheap trunk
    assert [(seed, data) for seed, data, _ in order[:2]] == [(0, "cluttered_digits")] * 2
    assert order.index((0, "cifar10", "vgg")) < order.index((0, "cifar10", "vgg_att2_concat_pc"))
    assert order.index((0, "cifar10", "vgg_latepool")) < order.index((0, "cifar10", "vgg_gap"))
    assert all(order.index((0, *rest)) < order.index((1, *rest)) for seed, *rest in order if seed == 1)


def test_a_week_is_left_out(place: Workplace) -> None:
    (planned,) = plan(chosen_cells([], ["table1/vgg_latepool/cifar100"]), (0,), place, CPU, max_hours=1)
    assert planned.hours > 100
    assert planned.obstacle is not None


def test_names_that_match_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="no cell that can be run matches 'table1/vgg/cifar1'; did you mean 'table1/"):
        chosen_cells([], ["table1/vgg/cifar1"])
    with pytest.raises(UsageError, match="unknown table 'tabel1'; did you mean 'table1'"):
        chosen_cells(["tabel1"], [])
