"""Watching a run: the same lines twice, curves and sheets that training does not notice, and an end at no number."""

import csv
import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from payattention.data import ImageSet
from payattention.errors import PayAttentionError
from payattention.models import Look
from payattention.runs.config import RunConfig
from payattention.runs.experiment import resume, train_and_test
from payattention.training.callbacks.sheets import drawn
from payattention.training.callbacks.views import Views
from payattention.training.fit import fit, new_model
from payattention.training.objective import Cost, Objective
from payattention.training.recipe import Recipe

SMALL = 0.0625
MODEL = "vgg_att2_concat_pc"


def recipe(**fields: object) -> Recipe:
    return Recipe(**({"summary": "test", "epochs": 3, "batch_size": 8, "lr": 0.05, "dropout": 0.5} | fields))


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run / "tensorboard")).Reload()


def test_watching_leaves_the_weights_bit_by_bit(image_set: ImageSet, tmp_path: Path) -> None:
    states = []
    for views in (Views(), Views(tensorboard=True, sheet_every=2, pictures=image_set)):
        model = new_model(MODEL, image_set, recipe(), width=SMALL)
        out = tmp_path / str(len(states))
        fit(model, image_set, recipe(), out=out, views=views)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())

    assert [file.name for file in (out / "sheets").iterdir()] == ["epoch-0002.png"]
    columns = 2 + len(model.levels)
    with Image.open(out / "sheets/epoch-0002.png") as sheet:
        assert sheet.width == 8 + columns * (128 + 8)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = events(out)
    for name in ("loss", "train_error", "lr", "images_per_second"):
        shown = [(event.step, event.value) for event in found.Scalars(f"epoch/{name}")]
        assert shown == [(line["step"], pytest.approx(line[name])) for line in lines]
    assert [event.step for event in found.Images("maps")] == [8]


def test_a_frozen_backbone_can_be_watched(image_set: ImageSet, tmp_path: Path) -> None:
    still = recipe(epochs=1, mirror=False)
    states = []
    for views in (Views(), Views(sheet_every=1, pictures=image_set)):
        model = new_model("timm:resnet10t", image_set, still, freeze=True, levels=1)
        fit(model, image_set, still, out=tmp_path, views=views)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert (tmp_path / "sheets/epoch-0001.png").is_file()


def test_csv_has_what_json_lines_have(image_set: ImageSet, tmp_path: Path) -> None:
    model = new_model("vgg", image_set, recipe(), width=SMALL)
    curve = fit(model, image_set, recipe(), out=tmp_path)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        table = [{name: json.loads(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert table == curve
    assert table == [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


def test_a_run_that_goes_on_has_each_epoch_once(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed after its second epoch was written and before that was saved."""
    out, original, steps = tmp_path / "run", Objective.forward, count()

    def killed(self: Objective, images: torch.Tensor, labels: torch.Tensor) -> Cost:
        if next(steps) == 10:
            raise Killed
        return original(self, images, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "forward", killed)
        with pytest.raises(Killed):
            train_and_test(
                RunConfig(MODEL, recipe(), width=SMALL, tensorboard=True, sheet_every=1), image_set, image_set, out
            )
    newest = max((out / "snapshots").iterdir())
    assert newest.name == "step-000000008.safetensors"
    newest.unlink()
    resume(out, image_set, image_set)

    with (out / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 3
    assert [event.step for event in events(out).Scalars("epoch/loss")] == [4, 8, 12]
    assert [event.step for event in events(out).Images("maps")] == [4, 8, 12]
    assert len(list((out / "sheets").iterdir())) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_named_by_its_step(
    value: float, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, steps = Objective.forward, count()

    def step(self: Objective, images: torch.Tensor, labels: torch.Tensor) -> Cost:
        loss, wrong = original(self, images, labels)
        return Cost(loss + value if next(steps) >= 5 else loss, wrong)

    monkeypatch.setattr(Objective, "forward", step)
    halved = recipe(schedule="steps", step_epochs=1, step_factor=0.5)
    message = (
        r"the loss is no longer finite at step 6, in epoch 2 \(learning rate 0.025\); .* lr=0.005; .*step-000000004"
    )
    with pytest.raises(PayAttentionError, match=message):
        train_and_test(RunConfig(MODEL, halved, width=SMALL), image_set, image_set, tmp_path / "run")
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1


def test_a_sheet_shows_each_picture_under_its_map(image_set: ImageSet) -> None:
    """A map that looks at one corner colours that corner of its panel, and no other panel."""
    images = np.zeros((2, 40, 20, 3), np.uint8)
    data = ImageSet("black", "test", images, np.array([0, 1]), ("a", "b"))
    maps = torch.zeros(2, 4, 2)
    maps[0, 0, 0] = maps[1, 3, 1] = 1.0
    sheet = np.asarray(drawn(Look(logits=torch.tensor([[9.0, 0.0], [9.0, 0.0]]), maps={"layer13": maps}), maps, data))
    assert sheet.shape[1] == 8 + 3 * (128 + 8)
    panels = sheet[:, 8 + 136 + 32 : 8 + 136 + 96]  # layer13's column: 64 x 128 in the middle of its cell
    first, second = panels[28 : 28 + 128], panels[28 + 128 + 28 : 28 + 2 * 128 + 28]
    assert first[:32, :32].mean() > first[-32:, -32:].mean() + 50
    assert second[-32:, -32:].mean() > second[:32, :32].mean() + 50
