"""A set that is not on the device is trained on as one that is: the same batches, the same weights, bit by bit."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from launching import environment
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.data.on_disk import OnDisk
from payattention.system.processes import Processes
from payattention.training import batches
from payattention.training.batches import DeviceSet, StreamedSet, training_set
from payattention.training.recipe import Recipe

CPU = torch.device("cpu")


@pytest.fixture
def streamed(image_set: ImageSet, tmp_path: Path) -> StreamedSet:
    (tmp_path / "images").write_bytes(image_set.images.tobytes())
    images = OnDisk(tmp_path / "images", image_set.images.dtype, image_set.images.shape)
    found = training_set(replace(image_set, images=images), CPU)
    assert isinstance(found, StreamedSet)
    return found


@pytest.mark.parametrize("changes", [{}, {"sampling": "balanced", "flips": "half"}])
def test_batches_are_those_of_the_set_on_the_device(
    changes: dict[str, str], image_set: ImageSet, streamed: StreamedSet
) -> None:
    fields = {"batch_size": 6, "shift": 2, "cutout": 6, "flips": "alternating", "sizes": (0.5, 1.0)}
    recipe = Recipe(summary="test", epochs=2, **fields | changes)
    for number in range(2):
        for first, processes in ((0, Processes()), (3, Processes(1, 2))):
            two = (data.epoch(recipe, 5, number, first, processes) for data in (DeviceSet.of(image_set, CPU), streamed))
            for (one, labels), (other, same_labels) in zip(*two, strict=True):
                assert torch.equal(one, other)
                assert one.stride() == other.stride()  # sums depend on the order in memory
                assert torch.equal(labels, same_labels)


def test_a_few_batches_are_read_ahead_and_no_more(streamed: StreamedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = StreamedSet._read

    def noted(self: StreamedSet, numbers: np.ndarray, pinned: bool) -> torch.Tensor:
        read.append(len(numbers))
        return original(self, numbers, pinned)

    monkeypatch.setattr(StreamedSet, "_read", noted)
    epoch = iter(streamed.epoch(Recipe(summary="test", epochs=1, batch_size=2), 0, 0))
    for used in range(1, 6):
        next(epoch)
        assert used <= len(read) <= used + 3
    epoch.close()
    assert len(read) < 16


def test_an_error_while_reading_comes_out_in_training(streamed: StreamedSet, tmp_path: Path) -> None:
    with (tmp_path / "images").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(Exception, match="images: was cut off while it was read"):
        list(streamed.epoch(Recipe(summary="test", epochs=1, batch_size=8), 0, 0))


def test_where_the_device_has_no_room_main_memory_feeds_it(
    image_set: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "fits", lambda needed, device: False)
    assert isinstance(training_set(image_set, torch.device("meta")), StreamedSet)
    assert isinstance(training_set(image_set, CPU), DeviceSet)  # it is in that memory already


@pytest.fixture
def pictures(image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k, (image, label) in enumerate(zip(image_set.images, image_set.labels, strict=True)):
        file = tmp_path / "pictures" / image_set.classes[label] / f"{k:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


@pytest.mark.usefixtures("pictures")
def test_from_disk_the_command_trains_the_same_weights(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data", "folder:pictures", "--width", "0.0625", "--recipe", "quickstart", "--epochs", "1"]
    words += ["--recipe-set", "batch_size=8", "--hold-out", "0.25"]
    assert run([*words, "--out", "mapped"]) == 0
    capsys.readouterr()
    assert run([*words, "--from-disk", "--out", "read"]) == 0
    assert "stay on disk, and batches are read ahead" in capsys.readouterr().err
    results = [json.loads(Path(out, "result.json").read_text()) for out in ("mapped", "read")]
    assert results[0]["test"] == results[1]["test"]
    assert results[0]["data"] == results[1]["data"]
    two = [load_file(f"{out}/model.safetensors") for out in ("mapped", "read")]
    assert all(torch.equal(two[0][name], two[1][name]) for name in two[0].keys() | two[1].keys())
    assert run(["train", "--from-disk", "--out", "digits"]) == 2
    assert "the images of cluttered_digits are made in memory" in capsys.readouterr().err


LIMITED = """
from payattention.system.lean_imports import lean_imports; lean_imports()
import resource, sys
import numpy as np
from pathlib import Path
from streaming_of_large import SHAPE, trained
from payattention.data.on_disk import OnDisk
from payattention.system.memory import fits
file, out = map(Path, sys.argv[1:])
size = next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (size + file.stat().st_size // 4,) * 2)
try:
    np.memmap(file, "u1", "c", shape=SHAPE)
except OSError:
    print("no map")
print(fits(file.stat().st_size))
trained(OnDisk(file, np.dtype("u1"), SHAPE), out)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how large a process is")
def test_a_process_trains_from_four_times_the_memory_that_a_limit_leaves_it(tmp_path: Path) -> None:
    from streaming_of_large import SHAPE, made, trained

    file = made(tmp_path / "images")
    words = [sys.executable, "-c", LIMITED, str(file), str(tmp_path / "limited.safetensors")]
    limited = subprocess.run(
        words, env=environment() | {"MALLOC_ARENA_MAX": "1"}, capture_output=True, text=True, check=False
    )
    assert limited.returncode == 0, limited.stderr
    assert limited.stdout.split("\n")[:2] == ["no map", "False"]
    trained(np.memmap(file, "u1", "c", shape=SHAPE), tmp_path / "mapped.safetensors")
    assert (tmp_path / "limited.safetensors").read_bytes() == (tmp_path / "mapped.safetensors").read_bytes()
