"""More epochs on a finished run: bit by bit what they would have been at once, or a second cycle, and that is said."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file

from payattention.data import ImageSet
from payattention.errors import CheckpointError, DataError, UsageError
from payattention.runs.config import RunConfig
from payattention.runs.experiment import extend, resume, train_and_test
from payattention.training.recipe import Recipe

STEPS: dict[str, Any] = {
    "plain": {},
    "a rate that falls between": {"step_epochs": 1},
    "milestones": {"milestones": ((2, 0.5), (3, 0.1))},
    "adamw": {"optimizer": "adamw", "lr": 1e-3},
    "averaged": {"averaging": 0.5},
    "small pictures throughout": {"sizes": (0.5, 0.5)},
}


def recipe(epochs: int, **fields: object) -> Recipe:
    fixed: dict[str, Any] = {"batch_size": 8, "lr": 0.05, "dropout": 0.5, "flips": "alternating", "shift": 2}
    return Recipe(**{"summary": "test", "epochs": epochs, **fixed, **fields})


def trained(out: Path, data: ImageSet, chosen: Recipe) -> dict[str, Any]:
    return train_and_test(RunConfig("vgg_att_pc", chosen, width=0.0625, seed=3), data, data, out)[1]


def curve(result: dict[str, Any]) -> list[tuple[float, ...]]:
    return [tuple(line[name] for name in ("epoch", "step", "loss", "train_error", "lr")) for line in result["curve"]]


@pytest.mark.parametrize("kind", STEPS)
def test_more_epochs_are_the_same_as_all_at_once(kind: str, image_set: ImageSet, tmp_path: Path) -> None:
    at_once = trained(tmp_path / "at once", image_set, recipe(4, **STEPS[kind]))
    trained(tmp_path / "longer", image_set, recipe(2, **STEPS[kind]))
    extend(tmp_path / "longer", image_set, image_set, 3)
    _, longer = extend(tmp_path / "longer", image_set, image_set, 4)
    assert curve(longer) == curve(at_once)
    assert Recipe(**longer["recipe"]) == Recipe(**at_once["recipe"])
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("at once", "longer")]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    kept = sorted(file.name for file in (tmp_path / "longer").iterdir())
    assert {"result-2-epochs.json", "result-3-epochs.json", "result.json"} <= set(kept)
    assert len(list((tmp_path / "longer/snapshots").iterdir())) == 1


def test_a_rate_that_came_down_to_zero_begins_a_second_cycle(image_set: ImageSet, tmp_path: Path) -> None:
    first = trained(tmp_path / "run", image_set, recipe(2, schedule="one_cycle"))
    assert not (tmp_path / "run/snapshots").exists()
    before = load_file(tmp_path / "run/model.safetensors")
    _, second = extend(tmp_path / "run", image_set, image_set, 5)
    assert [line["epoch"] for line in second["curve"]] == [1, 2, 3]
    assert second["epochs_before"] == 2
    assert second["curve"][0]["loss"] < first["curve"][0]["loss"]  # it did not begin anew
    assert json.loads((tmp_path / "run/result-2-epochs.json").read_text(encoding="utf-8"))["curve"] == first["curve"]
    assert any(not torch.equal(t, before[n]) for n, t in load_file(tmp_path / "run/model.safetensors").items())
    with pytest.raises(UsageError, match="this run has 5 already"):
        extend(tmp_path / "run", image_set, image_set, 5)


def test_sizes_that_grow_and_momentum_that_starts_anew_are_not_open_ended() -> None:
    assert recipe(2).open_ended
    assert not recipe(2, momentum_reset=True).open_ended
    assert not recipe(2, sizes=(0.5, 1.0)).open_ended


def killed(*_: object, **__: object) -> NoReturn:
    raise KeyboardInterrupt


def test_an_extension_that_stops_is_resumed(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = trained(tmp_path / "at once", image_set, recipe(3))
    trained(tmp_path / "run", image_set, recipe(2))
    with monkeypatch.context() as patch:
        patch.setattr("payattention.runs.experiment.resume", killed)
        with pytest.raises(KeyboardInterrupt):
            extend(tmp_path / "run", image_set, image_set, 3)  # before its first step
    assert not (tmp_path / "run/result.json").exists()
    assert curve(resume(tmp_path / "run", image_set, image_set)[1]) == curve(at_once)


def test_what_cannot_be_extended_is_left_as_it_is(image_set: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained(out, image_set, recipe(2))
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(UsageError, match="--epochs 2: this run has 2 already"):
        extend(out, image_set, image_set, 2)
    with pytest.raises(UsageError, match="epochs is 1000000"):
        extend(out, image_set, image_set, 1_000_000)
    with pytest.raises(DataError, match="not what this run was begun on"):
        extend(out, image_set.first(20), image_set, 3)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    for snapshot in (out / "snapshots").iterdir():  # a run of an earlier version
        snapshot.unlink()
    with pytest.raises(CheckpointError, match=r"state after the last epoch was not kept.*--init-from"):
        extend(out, image_set, image_set, 3)
    (out / "result.json").unlink()
    with pytest.raises(UsageError, match="not finished; resume it first"):
        extend(out, image_set, image_set, 3)
    with pytest.raises(CheckpointError, match="no run"):
        extend(tmp_path / "nowhere", image_set, image_set, 3)
