"""Training on one's own pictures: in a process of its own, one at a time, watched and stopped; then it is a run."""

import time
from pathlib import Path

import pytest
from PIL import Image

import payattention as pa
from payattention.errors import DataError, UsageError
from payattention.studio.training import Order, Trainer, trained
from tiny import pixels


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes in folders of numbers, as archives are unpacked."""
    for number in ("0", "1"):
        (tmp_path / "pictures" / number).mkdir(parents=True)
        for k in range(5):
            Image.fromarray(pixels(k, 40, 40) // (1 + int(number))).save(tmp_path / "pictures" / number / f"{k}.png")
    return tmp_path / "pictures"


def tiny(folder: Path, **changed: object) -> Order:
    """On a network that takes a second."""
    asked = {"classes": {"0": "cat", "1": "dog"}, "model": "timm:test_resnet", "options": {"freeze": True}}
    return Order(folder, "pets.zip", **asked | {"image_size": 32, "epochs": 2} | changed)  # type: ignore[arg-type]


def test_one_training_at_a_time_to_a_run_that_knows_its_classes(pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(tmp_path / "runs")
    assert trainer.standing().state == "none"
    began = trainer.begin(tiny(pictures), remove=pictures)
    assert (began.state, began.run) == ("running", None)
    with pytest.raises(UsageError, match=r"a training is running \(pets.zip\)"):
        trainer.begin(tiny(pictures))
    seen = []
    while (now := trainer.standing()).state == "running":
        seen.append((now.share, now.doing))
        time.sleep(0.05)
    assert (now.state, now.problem) == ("done", "")
    assert seen == sorted(seen, key=lambda one: one[0])
    assert len({doing for _, doing in seen}) > 1
    assert now.run is not None
    assert pa.load(now.run).classes == ("cat", "dog")
    assert now.result["test"]["count"] == 2
    assert now.result["provenance"]["command"] == now.command
    assert not pictures.exists()
    assert trainer.standing() == now  # also for whoever asks later


def test_what_is_stopped_leaves_nothing_and_another_may_begin(pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(tmp_path / "runs")
    trainer.begin(tiny(pictures, epochs=100_000))
    stopped = trainer.stop()
    assert (stopped.state, stopped.run) == ("stopped", None)
    assert trainer.stop() == stopped  # once more does no harm
    assert [*(tmp_path / "runs").glob("*")] == []
    trainer.longest = 0.0  # what takes too long is stopped, too
    trainer.begin(tiny(pictures, epochs=100_000))
    late = trainer.wait()
    assert (late.state, late.problem) == ("stopped", "stopped after 0 minutes, the most that a training may take")
    assert [*(tmp_path / "runs").glob("*")] == []


def test_the_command_does_the_same(pictures: Path, tmp_path: Path) -> None:
    own = tiny(pictures, classes={}).command(tmp_path / "a run")
    assert own.endswith(
        f"train --model timm:test_resnet --freeze --data folder:{pictures} --image-size 32 --epochs 2 "
        f"--out '{tmp_path / 'a run'}'"
    )
    uploaded = Order(pictures, "my pets.zip", {"0": "cat"}).command(tmp_path)
    assert "--pretrained --freeze --data 'folder:my pets' --out" in uploaded


def test_pictures_of_one_class_are_refused_in_a_line(pictures: Path, tmp_path: Path) -> None:
    one = pictures / "only"
    one.mkdir()
    (pictures / "0").rename(one / "0")
    with pytest.raises((DataError, UsageError), match="class"):
        trained(tiny(one), tmp_path / "run")
    assert not (tmp_path / "run").exists()
