"""Pictures with masks, at their own sizes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention.data import ImageSet, load_data, masked
from payattention.data.masked import _problem, masked_pictures, of_images, paired, read_masked
from payattention.data.readers.folder import pictures_in
from payattention.data.same_classes import same_class
from payattention.errors import DataError, UsageError
from payattention.pictures.reading import read_mask


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def shade(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def left_half(height: int, width: int, value: int = 255) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = value
    return mask


def test_pictures_and_masks_keep_their_own_sizes(tmp_path: Path) -> None:
    for name, (height, width) in {"a": (20, 30), "b": (50, 10)}.items():
        save(tmp_path / "pictures" / f"{name}.jpg", shade(height, width))
        save(tmp_path / "masks" / f"{name}.png", left_half(height, width))
    data = paired(tmp_path / "pictures", tmp_path / "masks")
    assert data.classes == ("pictures",)
    for sample, size in zip(data.samples, [(30, 20), (10, 50)], strict=True):
        picture, mask = read_masked(sample)
        assert picture.size == size
        assert mask.shape == size[::-1]
        assert mask[:, : size[0] // 2].all()
        assert mask.mean() == 0.5


def test_masks_lie_like_the_pictures_or_all_in_one_folder(tmp_path: Path) -> None:
    """And the folder of masks may lie among the class folders without being a class."""
    save(tmp_path / "cat" / "1.jpg", shade(8, 8))
    save(tmp_path / "dog" / "2.jpg", shade(8, 8))
    save(tmp_path / "masks" / "cat" / "1.png", left_half(8, 8))
    save(tmp_path / "masks" / "2.png", left_half(8, 8))
    data = paired(tmp_path, tmp_path / "masks")
    assert data.classes == ("cat", "dog")
    assert [read_masked(sample)[1].mean() for sample in data.samples] == [0.5, 0.5]


def test_pictures_in_folders_of_class_folders_have_their_masks(tmp_path: Path) -> None:
    save(tmp_path / "dog" / "2023" / "1.jpg", shade(8, 8))
    save(tmp_path / "dog" / "2.jpg", shade(8, 8))
    (tmp_path / "dog" / "clip.mp4").write_bytes(b"film")
    save(tmp_path / "masks" / "dog" / "2023" / "1.png", left_half(8, 8))
    save(tmp_path / "masks" / "2.png", left_half(8, 8))
    data = paired(tmp_path, tmp_path / "masks")
    assert data.classes == ("dog",)
    assert [Path(sample.name).name for sample in data.samples] == ["2.jpg", "1.jpg"]
    assert [read_masked(sample)[1].mean() for sample in data.samples] == [0.5, 0.5]
    assert len(data.problems) == 1
    assert "clip.mp4: a video" in data.problems[0]


def test_the_folder_of_masks_is_listed_once_and_not_for_each_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in ((folder, name) for folder in ("cat", "dog", "masks") for name in "abcdefgh"):
        save(tmp_path / folder / f"{name}.png", left_half(8, 8))
    listed: list[Path] = []
    monkeypatch.setattr(masked, "pictures_in", lambda folder: listed.append(folder) or pictures_in(folder))
    assert len(paired(tmp_path, tmp_path / "masks")) == 16
    assert listed.count(tmp_path / "masks") == 1


def test_the_objects_value_can_be_named(tmp_path: Path) -> None:
    save(tmp_path / "pictures" / "1.png", shade(8, 8))
    save(tmp_path / "masks" / "1.png", left_half(8, 8, value=1) + 2 * (1 - left_half(8, 8, value=1)))
    (sample,) = paired(tmp_path / "pictures", tmp_path / "masks", foreground=1).samples
    assert read_masked(sample)[1].mean() == 0.5
    (sample,) = paired(tmp_path / "pictures", tmp_path / "masks").samples
    assert read_masked(sample)[1].all()  # 1 and 2 are both not 0


def test_what_is_wrong_with_a_mask(tmp_path: Path) -> None:
    for name in ("missing", "other", "damaged", "fine"):
        save(tmp_path / "pictures" / f"{name}.png", shade(8, 10))
    save(tmp_path / "masks" / "other.png", left_half(10, 8))
    save(tmp_path / "masks" / "fine.png", left_half(8, 10))
    (tmp_path / "masks" / "damaged.png").write_bytes(b"\x89PNG")
    told = {}
    for sample in paired(tmp_path / "pictures", tmp_path / "masks").samples:
        try:
            read_masked(sample)
        except DataError as error:
            told[Path(sample.name).stem] = str(error)
    assert told.keys() == {"missing", "other", "damaged"}
    masks = tmp_path / "masks"
    assert told["missing"] == f"{masks / 'missing.png'}: no such file"
    picture = tmp_path / "pictures" / "other.png"
    assert told["other"] == f"{picture}: the picture is 10x8, its mask {masks / 'other.png'} 8x10"
    assert told["damaged"].startswith(f"{masks / 'damaged.png'}: damaged mask")


def test_folders_that_do_not_belong_together(tmp_path: Path) -> None:
    save(tmp_path / "pictures" / "1.png", shade(8, 8))
    save(tmp_path / "masks" / "one.png", left_half(8, 8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no mask for any of the 1 pictures; that of .*1\.png would be .*masks/1\.png"):
        paired(tmp_path / "pictures", tmp_path / "masks")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        paired(tmp_path / "pictures", tmp_path / "nowhere")
    with pytest.raises(DataError, match="empty: no pictures in this folder"):
        paired(tmp_path / "empty", tmp_path / "masks")


def test_a_picture_of_a_class_folder_may_lack_its_mask(tmp_path: Path) -> None:
    """Loaded into arrays it counts as one without an object; here it is told apart."""
    for name in ("cat", "dog"):
        for k in range(2):
            save(tmp_path / name / f"{k}.png", shade(8, 8))
    save(tmp_path / "masks" / "cat" / "0.png", left_half(8, 8))
    cat, dog = masked_pictures(f"folder:{tmp_path}", "test").samples
    assert read_masked(cat)[1].mean() == 0.5
    with pytest.raises(DataError, match=r"dog/0\.png: it has no mask"):
        read_masked(dog)


def test_the_embedded_set_is_the_one_that_is_loaded() -> None:
    loaded, data = load_data("cluttered_digits", "test"), masked_pictures("cluttered_digits", "test")
    assert loaded.masks is not None
    assert len(data) == len(loaded)
    for k in (0, 700):
        picture, mask = read_masked(data.samples[k])
        assert (np.asarray(picture) == loaded.images[k]).all()
        assert (mask == loaded.masks[k]).all()


def test_parts(image_set: ImageSet) -> None:
    data = of_images(image_set)
    assert [sample.label for sample in data.limited(6).samples].count(0) == 3
    assert data.limited(6) == data.limited(6)
    assert len(data.limited(500)) == 32
    assert {sample.label for sample in data.of_classes(["bright"]).samples} == {1}
    with pytest.raises(UsageError, match="unknown class of noise 'brihgt'; did you mean 'bright'"):
        data.of_classes(["brihgt"])
    with pytest.raises(UsageError, match="the limit is 0 pictures"):
        data.limited(0)


@pytest.mark.parametrize("name", ["cifar10", "cub200"])
def test_a_set_without_masks_is_refused_before_it_is_looked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{name} has no object masks; these have: cluttered_digits, oxford_pets"):
        masked_pictures(name, "test", tmp_path)


def test_one_class_under_several_names() -> None:
    cifar = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert [same_class(name, cifar) for name in ("airplane", "car", "horse", "Cat", "monkey")] == [0, 1, 7, 3, None]


def test_photographs_are_no_masks(tmp_path: Path) -> None:
    """Noise has every value; soft edges, a JPEG's errors and many labels are no photographs."""
    rng = np.random.default_rng(0)
    size = (40, 50)
    yes = {
        "soft.png": np.tile(np.clip(np.arange(50) * 12 - 200, 0, 255).astype(np.uint8), (40, 1)),
        "labels.png": np.tile(np.arange(25, dtype=np.uint8).repeat(2), (40, 1)),
        "jpeg.jpg": left_half(*size),
        "grain.png": np.where(left_half(*size), rng.integers(1, 256, size), 0).astype(np.uint8),
    }
    for name, values in yes.items():
        save(tmp_path / "one" / name, values)
        assert read_mask(tmp_path / "one" / name).any(), name
    photograph = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    for k in range(6):
        save(tmp_path / "pictures" / f"{k}.png", photograph)
        save(tmp_path / "masks" / f"{k}.png", left_half(*size) if k == 0 else photograph)
    with pytest.raises(DataError, match=r"masks: no masks of objects; .*2.png: a photograph, by its many values"):
        paired(tmp_path / "pictures", tmp_path / "masks")
    for k in range(1, 6):
        save(tmp_path / "masks" / f"{k}.png", left_half(*size))
    save(tmp_path / "masks" / "3.png", photograph)
    data = paired(tmp_path / "pictures", tmp_path / "masks")
    assert [_problem(sample) is None for sample in data.samples] == [True, True, True, False, True, True]
