"""Figures 5, 7 and 8: what stands in which cell."""

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.attention.maps import enlarged, stretched
from payattention.errors import UsageError
from payattention.evaluation.attacks import FGSM
from payattention.figures.attack import attack_figure
from payattention.figures.query import query_figure
from payattention.figures.side_by_side import activations_figure, maps_figure, masks_figure
from payattention.models import Classifier
from payattention.pictures.drawing import captioned, overlay
from settling import settled

GAP, CELL = 8, 160


@pytest.fixture
def models() -> dict[str, Classifier]:
    torch.manual_seed(1)
    names = {"two": "vgg_att2_concat_pc", "three": "vgg_att3_concat_pc"}
    return {key: settled(pa.create_model(name, 3, 0.0625)) for key, name in names.items()}


@pytest.fixture
def pictures() -> dict[str, Image.Image]:
    random = np.random.default_rng(0)
    return {name: Image.fromarray(random.integers(0, 256, (CELL, CELL, 3), np.uint8)) for name in ("a", "b")}


def cell(sheet: Image.Image, row: int, column: int, size: int = CELL) -> np.ndarray:
    """One cell of a sheet of square pictures; under each row stands a line of text."""
    top = GAP + 20 + row * (size + 20 + GAP)
    left = GAP + column * (size + GAP)
    return np.asarray(sheet)[top : top + size, left : left + size]


def smooth(values: np.ndarray) -> np.ndarray:
    """A map at a cell's size as Pillow enlarges it, within its own range, stretched."""
    large = np.asarray(Image.fromarray(values).resize((CELL, CELL), Image.Resampling.BICUBIC))
    large = large.clip(values.min(), values.max())
    return (large - values.min()) / (large.max() - values.min())


def test_every_level_of_every_model_has_its_column(
    models: dict[str, Classifier], pictures: dict[str, Image.Image]
) -> None:
    sheet = maps_figure(models, pictures)
    assert sheet.width == GAP + (1 + 2 + 3) * (CELL + GAP)
    seen = pa.explain(models["three"], pictures["b"])
    assert (cell(sheet, 1, 0) == np.asarray(pictures["b"])).all()
    wanted = np.asarray(overlay(pictures["b"], smooth(seen.maps["layer10"])))
    assert (cell(sheet, 1, 4) == wanted).mean() > 0.99


def test_a_mask_cuts_the_object_out(models: dict[str, Classifier], pictures: dict[str, Image.Image]) -> None:
    sheet = masks_figure(models, pictures)
    seen = pa.explain(models["two"], pictures["a"])
    found, picture = cell(sheet, 0, 2), np.asarray(pictures["a"])
    assert 0 < seen.mask.mean() < 1
    assert (found[seen.mask] == picture[seen.mask]).all()
    assert (found[~seen.mask] >= 191).all()


def test_a_picture_stands_beside_its_attacked_selves(
    models: dict[str, Classifier], pictures: dict[str, Image.Image]
) -> None:
    """At size 0 the cell is the clean one; at 255 every pixel may be black or white."""
    sheet = attack_figure(models, pictures, FGSM(), (0.0, 255.0))
    assert sheet.width == GAP + 3 * (150 + GAP)
    assert sheet.height == GAP + 20 + 2 * 2 * 2 * (150 + 20 + GAP)  # pictures and maps, by picture and model
    clean, same, far = (cell(sheet, 0, column, 150) for column in range(3))
    assert (clean == same).all()
    assert (clean != far).mean() > 0.3
    without_maps = {"vgg": settled(pa.create_model("vgg", 3, 0.0625))}
    assert attack_figure(without_maps, pictures, FGSM(), (1.0,)).height == GAP + 20 + 2 * (150 + 20 + GAP)


def test_what_a_figure_cannot_show(models: dict[str, Classifier], pictures: dict[str, Image.Image]) -> None:
    with pytest.raises(UsageError, match="eps is -1"):
        attack_figure(models, pictures, FGSM(), (-1.0,))
    for draw in (maps_figure, masks_figure, lambda *a, **k: attack_figure(*a, FGSM(), **k)):
        with pytest.raises(UsageError, match="size is 4 pixels"):
            draw(models, pictures, size=4)
    with pytest.raises(UsageError, match="no attention maps"):
        maps_figure({"vgg": pa.create_model("vgg", 3, 0.0625)}, pictures)


@pytest.mark.parametrize("size", [(20, 20), (300, 60), (60, 300)])
def test_a_caption_fits_its_cell(size: tuple[int, int]) -> None:
    picture = captioned(Image.new("RGB", size, "red"), "a very long line of text that cannot fit in it", 150)
    assert picture.width == 150 >= picture.height
    pixels = np.asarray(picture)
    assert (pixels[(picture.height - 18) // 2, 75] == (255, 0, 0)).all()
    assert (pixels[-18:].min(2) < 128).any(), "there should be text"


@pytest.mark.float32
def test_activations_stand_beside_the_trained_maps(
    models: dict[str, Classifier], pictures: dict[str, Image.Image]
) -> None:
    sheet = activations_figure(models, pictures)
    assert sheet.width == GAP + (1 + 2 * 2 + 2 * 3) * (CELL + GAP)
    picture, model = pictures["b"], models["two"]
    pixels = torch.from_numpy(np.array(picture.resize((32, 32), Image.Resampling.BICUBIC))).permute(2, 0, 1)[None] / 255
    seen = []
    hook = model.trunk.layers["conv10"].register_forward_hook(lambda _, __, features: seen.append(features))
    with torch.no_grad():
        model(pixels)
    hook.remove()
    strength = stretched(enlarged(seen[0].square().mean(1), (CELL, CELL)))[0].numpy()
    shown, wanted = cell(sheet, 1, 2), np.asarray(overlay(picture, strength))
    assert (shown == wanted).mean() > 0.99
    explained = pa.explain(model, picture)
    assert (cell(sheet, 1, 1) == np.asarray(overlay(picture, smooth(explained.maps["layer10"])))).mean() > 0.99


def test_a_query_is_put_to_every_model(pictures: dict[str, Image.Image], models: dict[str, Classifier]) -> None:
    sheet = query_figure(models, pictures["a"], pictures)
    assert sheet.width == GAP + (2 + 2 * 3) * (CELL + GAP)
    assert (cell(sheet, 1, 0) == np.asarray(pictures["a"])).all()
    assert (cell(sheet, 1, 1) == np.asarray(pictures["b"])).all()
    one_level = settled(pa.create_model("vgg_att_dp", 3, 0.0625))
    with pytest.raises(UsageError, match="unknown level of vgg_att_dp 'layer10'"):
        query_figure({**models, "one": one_level}, pictures["a"], pictures)
