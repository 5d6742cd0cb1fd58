"""Cells that Ray hands out: each once, each on a slot of its kind, in the order that their needs ask for."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_reproduce_runner import PRETENDED

from payattention.cli.app import run
from payattention.errors import UsageError
from payattention.reproduce import Outcome, Planned, Workplace, chosen_cells, plan, run_over_ray
from payattention.reproduce.over_ray import Slot, _slot
from payattention.system.claim import claim
from payattention.system.machine import Choice, choosing
from payattention.system.ray_cluster import ray_cluster

pytest.importorskip("ray")
CELLS = ("cluttered_digits/vgg_att2_concat_pc/[ep]*", "cluttered_digits/vgg/error")  # two trainings, a measurement


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    program = tmp_path / "payattention" / "__main__.py"  # `python -m` looks where it is started before all else
    program.parent.mkdir(parents=True)
    program.write_text(PRETENDED)
    (program.parent / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    return Workplace(Path("results"), Path("runs"))


def queue(place: Workplace, device: str = "cpu") -> list[Planned]:
    return plan(chosen_cells([], CELLS), (0,), place, torch.device(device))


def test_what_costs_much_gets_a_gpu_where_there_is_one(place: Workplace) -> None:
    cheap = queue(place)[0]
    dear = replace(cheap, job=replace(cheap.job, width=1.0, epochs=300))
    auto = Choice()
    assert _slot(cheap, auto, 2, gpus=True) == Slot(gpu=False, threads=2)
    assert _slot(dear, auto, 2, gpus=True) == Slot(gpu=True, threads=2)
    assert _slot(dear, auto, 2, gpus=False) == Slot(gpu=False, threads=2)
    assert _slot(cheap, Choice(device="cuda"), 2, gpus=True).gpu
    assert Slot(True, 2).asks_for() == {"num_cpus": 0, "num_gpus": 1, "max_retries": 0}
    assert Slot(True, 1).choice(auto) == Choice("cuda", "auto", None)
    assert Slot(False, 2).choice(Choice(precision="bf16")) == Choice("cpu", "bf16", 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--engine rays", "unknown engine 'rays'"),
        ("--address auto", "--address is of a Ray cluster: add --engine ray"),
    ],
)
def test_a_mistake_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", *words.split()]) == 2
    assert message in capsys.readouterr().err


class FakeRay:
    """Does each task when its end is waited for, in one process: what is asked of Ray, and in which order."""

    __spec__ = object()  # by which a module counts as installed

    class exceptions:  # noqa: N801 (Ray's name)
        class RayError(Exception): ...

        class RayTaskError(RayError): ...

    def __init__(self, resources: dict[str, float], lost: str = "") -> None:
        self.resources, self.lost = resources, lost
        self.asked: list[tuple[str, dict[str, float]]] = []
        self.at_once = 0

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": self.resources}]

    def remote(self, function: Callable[..., object]) -> object:
        def options(**settings: float) -> object:
            def task(planned: Planned, *rest: object) -> Callable[[], object]:
                self.asked.append((planned.job.name, settings))
                if planned.job.name.startswith(self.lost or "-"):
                    return lambda: (_ for _ in ()).throw(self.exceptions.RayError("the node died\nlong after"))
                return lambda: function(planned, *rest)

            return SimpleNamespace(remote=task)

        return SimpleNamespace(options=options)

    def wait(self, tasks: list[object], num_returns: int) -> tuple[list[object], list[object]]:
        self.at_once = max(self.at_once, len(tasks))
        return tasks[:1], tasks[1:]

    def get(self, task: Callable[[], object]) -> object:
        return task()


def over(fake: FakeRay, place: Workplace, monkeypatch: pytest.MonkeyPatch) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    monkeypatch.setitem(sys.modules, "ray", fake)
    return run_over_ray(partial(plan, chosen_cells([], CELLS), (0,), place), place, said.append), said


def test_what_needs_a_training_waits_for_it_and_else_all_goes_out_at_once(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay({"CPU": 4.0})
    done, said = over(ray, place, monkeypatch)
    assert ray.at_once == 2
    assert len(done.tally.done) == 3
    assert [name.partition("-")[0] for name, _ in ray.asked][-1] == "evaluate"
    assert all(settings == {"num_cpus": 1, "num_gpus": 0, "max_retries": 0} for _, settings in ray.asked)
    assert said[0] == "3 jobs for 4 slots of 1 core"
    assert any(": [1 of 1] vgg-" in line for line in said)
    results = [json.loads(file.read_text()) for file in Path("results/cells").iterdir()]
    assert all(result["command"].endswith("--device cpu --threads 1 --json") for result in results)
    assert over(ray, place, monkeypatch)[0].queue == []


def test_what_is_lost_with_its_machine_goes_on_next_time(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    done, said = over(FakeRay({"CPU": 1.0}, lost="vgg_att2"), place, monkeypatch)
    tally = done.tally
    assert [len(jobs) for jobs in (tally.done, tally.stopped, tally.waiting, tally.failed)] == [1, 1, 1, 0]
    assert any("its machine or process is gone (the node died)" in line for line in said)
    assert len(over(FakeRay({"CPU": 1.0}), place, monkeypatch)[0].tally.done) == 2


def test_a_cluster_without_what_is_asked_for(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    with choosing("auto", "auto", 3), pytest.raises(UsageError, match="--threads 3: no machine of this Ray has more"):
        over(FakeRay({"CPU": 2.0}), place, monkeypatch)


# Ray itself leaves files and sockets of its own to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
@pytest.mark.slow
def test_each_cell_is_run_once_what_it_needs_before_it(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers' commands are a program that only pretends to train; another process is at one of the cells."""
    with ray_cluster(None, 2):  # before the pretended program is where Ray's own workers would find it
        place = request.getfixturevalue("place")
        _runs_each_once(place, capsys)


def _runs_each_once(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    taken = next(planned.job.name for planned in queue(place) if planned.job.name.startswith("vgg-"))
    words = ["reproduce", *(word for cell in CELLS for word in ("--cell", cell)), "--seeds", "0", "--runs", "runs"]
    words += ["--engine", "ray", "--json"]
    with claim(Path("runs") / f"{taken}.claim"):
        assert run(words) == 0
    printed = capsys.readouterr()
    tally = json.loads(printed.out)
    assert tally["elsewhere"] == [taken]
    assert len(tally["done"]) == 2
    calls = [line.split()[0] for line in Path("calls.txt").read_text().splitlines()]
    assert calls == ["train", "evaluate"]
    (result, *_) = (json.loads(file.read_text()) for file in Path("results/cells").glob("vgg_att2*.json"))
    assert result["command"].endswith("--device cpu --threads 1 --json")
    assert "slots of 1 core" in printed.err
