"""Folders of pictures: what is found, and what bad files do (nothing but be listed)."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from payattention.cli.reading import Wanted
from payattention.data import ImageSet, load_data
from payattention.errors import DataError, UsageError
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.training.recipe import load_recipe
from tiny import encoded, pixels


def load(path: Path, split: str = "train", **options: object) -> ImageSet:
    return load_data(f"folder:{path}", split, image_size=options.pop("image_size", 8), **options)  # type: ignore


def test_every_fifth_picture_of_a_class_is_for_test(pets: Path) -> None:
    train, test = load(pets), load(pets, "test")
    assert train.classes == test.classes == ("cat", "dog")
    assert train.labels.tolist() == [0] * 8 + [1] * 8
    assert [(image == pixels(seed)).all() for image, seed in zip(test.images, (0, 5, 10, 15), strict=True)] == [
        True
    ] * 4
    assert (np.concatenate([train.images, test.images]).sum() == np.stack([pixels(k) for k in range(20)]).sum()).all()
    assert train.name == f"folder:{pets}"


@pytest.mark.parametrize("second", ["test", "val", "validation"])
def test_split_folders_are_taken_as_they_are(pets: Path, second: str) -> None:
    parts = pets.parent / "parts"
    shutil.copytree(pets, parts / "train")
    (parts / second).mkdir()
    (pets / "dog").rename(parts / second / "dog")
    train, test = load(parts), load(parts, "test")
    assert train.classes == test.classes == ("cat", "dog")  # a class has one number, whichever splits it is in
    assert set(train.labels) == {0, 1}
    assert set(test.labels) == {1}
    assert any("no pictures for the test split" in line for line in test.skipped)


def test_what_lies_beside_the_split_folders_is_counted(pets: Path) -> None:
    parts = pets.parent / "parts"
    shutil.copytree(pets, parts / "train")
    shutil.copytree(pets / "cat", parts / "Test" / "cat")
    shutil.copytree(pets, parts / "extra" / "more")
    shutil.copytree(pets / "cat", parts / "masks" / "cat")
    shutil.copytree(pets / "cat", parts / "val" / "cat")  # known, and not asked for
    (parts / "loose.png").write_bytes((pets / "cat" / "0.png").read_bytes())
    said = [f"{parts}: in no split's folder (1 left out)"]
    said.append(f"{parts / 'extra'}: in no split's folder (20 left out)")
    assert [line for line in load(parts).skipped if "no split's" in line] == said
    assert len(load(parts)) == 20
    with pytest.raises(DataError, match="no split"):
        load(parts, strict=True)


def test_masks_lie_in_a_parallel_folder(pets: Path) -> None:
    half = np.zeros((8, 8), np.uint8)
    half[:, :4] = 255
    (pets / "masks" / "cat").mkdir(parents=True)
    Image.fromarray(half).save(pets / "masks" / "cat" / "0.png")
    test = load(pets, "test")
    assert test.classes == ("cat", "dog")
    assert test.masks is not None
    assert (test.masks[0] == (half > 0)).all()
    assert not test.masks[1:].any()
    assert load(pets, "train").masks is None


def test_masks_is_a_class_where_it_holds_pictures(pets: Path) -> None:
    (pets / "dog").rename(pets / "masks")
    assert load(pets).classes == ("cat", "masks")


def test_a_mask_of_another_size_is_bad(pets: Path) -> None:
    (pets / "masks" / "cat").mkdir(parents=True)
    Image.fromarray(np.ones((9, 8), np.uint8)).save(pets / "masks" / "cat" / "0.png")
    test = load(pets, "test")
    assert len(test) == 3
    assert "0.png: the picture is 8x8, its mask" in test.skipped[0]
    assert test.skipped[0].endswith("8x9")


def _bad_files(folder: Path) -> int:
    """Puts one of each kind of bad file into a class folder; how many there are."""
    good = encoded(pixels(height=40, width=40), "PNG")
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "cut.jpg").write_bytes(encoded(pixels(height=40, width=40), "JPEG")[:300])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("a note, not a picture")
    (folder / "bomb.ppm").write_bytes(b"P6 60000 60000 255\n")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "nowhere.png").symlink_to(folder / "gone")
    return 7


def test_bad_files_are_left_out_counted_and_listed(pets: Path) -> None:
    before = load(pets)
    count = _bad_files(pets / "dog")
    (pets / "dog" / "notes.txt").write_text("ignored")
    found = [load(pets, split) for split in ("train", "test")]
    assert sum(len(data.skipped) for data in found) == count
    for name in ("cut.png", "cut.jpg", "empty.png", "text.jpg", "bomb.ppm", "loop.png", "nowhere.png"):
        assert sum(f"{name}: " in line for data in found for line in data.skipped) == 1, name
    good = {image.tobytes() for data in found for image in data.images}
    assert {image.tobytes() for image in before.images} <= good
    assert len(good) == 20


def test_strict_makes_them_an_error_also_from_the_cache(pets: Path) -> None:
    count = _bad_files(pets / "cat")
    load(pets)
    with pytest.raises(DataError, match=r"folder:.*cat/.*\(and \d+ more\)"):
        load(pets, strict=True)
    assert count


def test_empty_and_unreadable_classes_are_left_out(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pets / "bird").mkdir()
    (pets / "fish").symlink_to(pets / "fish")
    (pets / ".hidden").mkdir()
    data = load(pets)
    assert data.classes == ("cat", "dog")
    assert [line.rpartition("/")[2] for line in data.skipped] == [
        "bird: an empty class (no pictures in this folder)",
        "fish: cannot be read (Too many levels of symbolic links)",
    ]


def test_a_picture_that_must_not_be_read_is_listed(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may read everything, the refusal is made here."""
    read = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path.name == "3.png":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    data = load(pets)
    assert len(data) == 14
    assert all(line.endswith("3.png: cannot be read (Permission denied)") for line in data.skipped)


@pytest.mark.parametrize(
    ("remove", "words"),
    [("", "no such folder"), ("cat", "no class folders; put each class's pictures in a folder of its name")],
)
def test_no_class_is_an_error(pets: Path, remove: str, words: str) -> None:
    (pets / "dog").rename(pets.parent / "dog")
    (pets / remove).rename(pets.parent / "elsewhere")
    with pytest.raises(DataError, match=words):
        load(pets)


def test_one_class_is_enough_to_be_measured_on_and_not_to_train_on(pets: Path) -> None:
    (pets / "dog").rename(pets.parent / "dog")
    assert load(pets, "test").classes == ("cat",)
    with pytest.raises(UsageError, match=r"pets: 1 class, 'cat' is too few to train on"):
        Wanted(f"folder:{pets}", image_size=8).read()
    recipe = load_recipe("quickstart", {"epochs": 1})
    with pytest.raises(UsageError, match="too few to train on"):
        train_and_test(RunConfig("vgg_gap", recipe), load(pets), load(pets, "test"), pets.parent / "run")
    assert not (pets.parent / "run").exists()


def test_all_is_every_picture_and_what_a_split_is_of_an_undivided_folder_is_told(pets: Path) -> None:
    assert load(pets).source == "no train and test folders: all but every fifth picture of a class"
    held_out = "no train and test folders: every fifth picture of a class; the split all takes every one"
    assert load(pets, "test").source == held_out
    whole = load(pets, "all")
    assert (len(whole), whole.classes, whole.source) == (20, ("cat", "dog"), "")
    parts = pets.parent / "parts"
    for split, numbers in (("train", range(7)), ("val", range(7, 10))):
        for name in ("cat", "dog"):
            (parts / split / name).mkdir(parents=True)
            for number in numbers:
                shutil.copy(pets / name / f"{number}.png", parts / split / name)
    both = load(parts, "all")
    assert sorted(image.tobytes() for image in both.images) == sorted(image.tobytes() for image in whole.images)
    assert (both.class_counts.tolist(), both.source, both.skipped) == ([10, 10], "", ())


def test_a_split_alone_is_measured_on(pets: Path) -> None:
    pets.rename(pets.parent / "test")
    alone = pets.parent / "alone"
    alone.mkdir()
    (pets.parent / "test").rename(alone / "test")
    for split in ("test", "all"):
        data = load(alone, split)
        assert (len(data), data.classes, data.source) == (20, ("cat", "dog"), "")
    with pytest.raises(DataError, match=r"has a test folder, but no train folder \(train, training\)"):
        load(alone)


@pytest.mark.parametrize("name", ["train", "test", "Train", "val"])
def test_a_class_may_be_called_like_a_split(pets: Path, name: str) -> None:
    (pets / "dog").rename(pets / name)
    data = load(pets, "all")
    assert data.classes == tuple(sorted(("cat", name)))
    assert data.class_counts.tolist() == [10, 10]


def test_pictures_in_no_class_are_not_two_classes(pets: Path) -> None:
    (pets / "cat").rename(pets / "train")
    (pets / "dog").rename(pets / "test")
    with pytest.raises(DataError, match="train: holds pictures, but no class folders"):
        load(pets)


def test_nothing_but_bad_files_is_an_error(pets: Path) -> None:
    for file in pets.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 16 pictures of .* can be read: .*the file is empty"):
        load(pets)


def test_names_with_spaces_and_in_any_script(tmp_path: Path) -> None:
    names = ("großer Hund", "ねこ", b"caf\xe9".decode("utf-8", "surrogateescape"))
    for k, name in enumerate(names):
        (tmp_path / "my pets" / name).mkdir(parents=True)
        for j in range(2):
            (tmp_path / "my pets" / name / f"{name} {j}.png").write_bytes(encoded(pixels(2 * k + j), "PNG"))
    data = load(tmp_path / "my pets")
    assert sorted(data.classes) == sorted(("großer Hund", "ねこ", "caf\ufffd"))
    assert len(data) == 3
    assert not data.skipped


_SEEDS = [
    encoded(pixels(1), "PNG"),
    encoded(pixels(2), "JPEG", quality=80),
    encoded(pixels(3), "GIF"),
    encoded(pixels(4), "BMP"),
    encoded(pixels(5), "WEBP", lossless=True),
    encoded(pixels(6), "TIFF"),
    encoded(pixels(7), "PPM"),
    encoded(Image.fromarray(pixels(8)).convert("P"), "PNG"),
    encoded(Image.fromarray(pixels(9)).convert("LA"), "PNG"),
]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_2400_mutated_files_never_stop_the_loader(tmp_path_factory: pytest.TempPathFactory, random) -> None:  # type: ignore
    """Every file is an image or a line, in order, and the good ones beside them come out untouched."""
    root = tmp_path_factory.mktemp("mutated")
    for name in ("a", "b"):
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / "good.png").write_bytes(_SEEDS[0])
    for k in range(60):
        content = bytearray(random.choice(_SEEDS))
        for _ in range(random.randint(1, 8)):
            place = random.randrange(len(content))
            match random.randrange(4):
                case 0:
                    content[place] = random.randrange(256)
                case 1:
                    del content[place : place + random.randint(1, 20)]
                case 2:
                    content[place:place] = random.randbytes(random.randint(1, 20))
                case _:
                    content[place:] = b"" if random.random() < 0.2 else content[place:]
            content = content or bytearray(b"\0")
        (root / "train" / "ab"[k % 2] / f"{k}.png").write_bytes(content)
    data = load(root)
    assert len(data) + len(data.skipped) == 62
    assert all(line.count("\n") == 0 and ".png: " in line for line in data.skipped)
    good = read = np.asarray(Image.fromarray(pixels(1)))
    assert sum((image == good).all() for image in data.images) >= 2
    assert read.dtype == data.images.dtype


def test_a_class_folder_may_hold_folders(pets: Path) -> None:
    """The class's own pictures come first, so that the parts of a set without such folders stay as they were."""
    before = [load(pets, split) for split in ("train", "test")]
    for k, place in enumerate(("dog/2023/a.png", "dog/2023/june/b.png", "cat/0000/a.png")):
        (pets / place).parent.mkdir(parents=True, exist_ok=True)
        (pets / place).write_bytes(encoded(pixels(100 + k), "PNG"))
    after = [load(pets, split) for split in ("train", "test")]
    assert sum(len(data) for data in after) == 23
    for old, new in zip(before, after, strict=True):
        assert {image.tobytes() for image in old.images} <= {image.tobytes() for image in new.images}


def test_a_new_picture_in_a_folder_of_a_class_folder_is_seen(pets: Path) -> None:
    (pets / "dog" / "2023").mkdir()
    (pets / "dog" / "2023" / "a.png").write_bytes(encoded(pixels(100), "PNG"))
    count = sum(len(load(pets, split)) for split in ("train", "test"))
    (pets / "dog" / "2023" / "b.png").write_bytes(encoded(pixels(101), "PNG"))
    assert sum(len(load(pets, split)) for split in ("train", "test")) == count + 1


def test_masks_of_pictures_in_folders_of_class_folders(pets: Path) -> None:
    half = np.zeros((8, 8), np.uint8)
    half[:, :4] = 255
    for place in ("dog/2023/a.png", "dog/2024/b.png"):
        (pets / place).parent.mkdir()
        (pets / place).write_bytes(encoded(pixels(100), "PNG"))
    (pets / "masks" / "dog" / "2023").mkdir(parents=True)
    Image.fromarray(half).save(pets / "masks" / "dog" / "2023" / "a.png")
    Image.fromarray(half).save(pets / "masks" / "dog" / "b.png")
    masked = [
        data.masks.any((1, 2)).sum() for split in ("train", "test") if (data := load(pets, split)).masks is not None
    ]
    assert sum(masked) == 2


def test_what_is_known_and_not_read_is_listed_and_strict_refuses_it(pets: Path) -> None:
    (pets / "dog" / "clip.mp4").write_bytes(b"film")
    (pets / "dog" / "2023").mkdir()
    (pets / "dog" / "2023" / "raw.cr2").write_bytes(b"raw")
    (pets / "cat" / "masks").mkdir()
    (pets / "loose.png").write_bytes(encoded(pixels(), "PNG"))
    (pets / "cat" / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    expected = {"loose.png: lies in no class folder", "masks: taken for masks, which lie in masks/cat"}
    for split in ("train", "test"):
        said = [line.removeprefix(f"{pets}/") for line in load(pets, split).skipped]
        assert len(said) == 4
        assert expected <= {line.removeprefix("cat/") for line in said}
        assert any(line.startswith("dog/clip.mp4: a video") for line in said)
        assert any(line.startswith("dog/2023/raw.cr2: a camera's raw file") for line in said)
        with pytest.raises(DataError, match=r"\(and 3 more\)"):
            load(pets, split, strict=True)


def test_heic_among_other_pictures_is_listed_with_what_it_needs(pets: Path) -> None:
    (pets / "dog" / "zz.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    said = [line for split in ("train", "test") for line in load(pets, split).skipped]
    assert len(said) == 1
    assert said[0].endswith("zz.heic: a HEIC picture needs the package pillow-heif: pip install 'payattention[heif]'")
