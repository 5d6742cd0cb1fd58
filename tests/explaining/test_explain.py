"""Pictures in, explanations out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image

import payattention as pa
from payattention.errors import DataError, UsageError
from payattention.explaining.folder import write_maps
from payattention.explaining.request import Request
from payattention.models import Classifier
from payattention.pictures.drawing import CHANGE_MAP, COLOUR_MAP, colour_table, coloured, contact_sheet, overlay
from payattention.pictures.finding import picture_files
from payattention.pictures.kinds import FORMATS
from payattention.pictures.reading import read_picture


def test_an_explanation_is_of_the_pictures_own_size(model: Classifier, picture: Path) -> None:
    result = pa.explain(model, picture)
    assert result.label in model.classes
    assert result.probabilities.sum() == pytest.approx(1)
    assert result.combined.shape == result.mask.shape == (40, 50)
    assert result.mask.dtype == np.bool_
    assert result.combined.min() == 0
    assert result.combined.max() == 1
    assert {name: heat.shape for name, heat in result.heatmaps.items()} == dict.fromkeys(model.levels, (40, 50))


@pytest.mark.float32
def test_raw_maps_are_the_models_own(model: Classifier, picture: Path) -> None:
    """The shorter side becomes 32, so 50x40 is seen as 40x32: grids 20x16 and 10x8."""
    result = pa.explain(model, picture)
    assert result.maps["layer10"].shape == (16, 20)
    assert result.maps["layer13"].shape == (8, 10)
    scaled = read_picture(picture).resize((40, 32), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(scaled)).permute(2, 0, 1)[None] / 255
    look = model.attend(pixels)
    for name, values in result.maps.items():
        torch.testing.assert_close(torch.from_numpy(values), look.maps[name][0].detach())


def test_explaining_does_not_disturb_training(model: Classifier, picture: Path) -> None:
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pa.explain(model, picture)
    assert model.training
    for name, value in model.state_dict().items():
        assert (value == before[name]).all()


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (33, 500)])
def test_any_proportions(model: Classifier, size: tuple[int, int]) -> None:
    result = pa.explain(model, Image.new("RGB", size, "red"))
    assert result.combined.shape == (size[1], size[0])


def test_what_is_saved(model: Classifier, picture: Path, tmp_path: Path) -> None:
    result = pa.explain(model, picture)
    files = result.save(tmp_path / "out", "red")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*files.values(), "red.json"}
    for level in model.levels:
        assert (np.load(tmp_path / "out" / files[f"{level} map"]) == result.maps[level]).all()
        assert read_picture(tmp_path / "out" / files[f"{level} overlay"]).size == (50, 40)
    mask = np.asarray(read_picture(tmp_path / "out" / files["mask"]))
    assert ((mask[..., 0] > 0) == result.mask).all()
    facts = json.loads((tmp_path / "out" / "red.json").read_text())
    assert facts["label"] == result.label
    assert facts["files"] == files


def test_a_model_without_maps_cannot_explain(picture: Path) -> None:
    with pytest.raises(UsageError, match="vgg has no attention maps"):
        pa.explain(pa.create_model("vgg", 3, 0.0625), picture)


def test_a_folder_is_looked_through_and_its_damaged_pictures_listed(model: Classifier, picture: Path) -> None:
    folder = picture.parent
    (folder / "text.jpg").write_text("not a picture")
    (folder / "notes.txt").write_text("ignored")
    Image.new("L", (40, 40)).save(folder / "picture.gif")
    files = picture_files([folder])
    manifest = write_maps(Request.of(model), files, folder / "out")
    assert [Path(p["picture"]).name for p in manifest["pictures"]] == ["picture.gif", "picture.png"]
    assert manifest["skipped"] == [f"{folder / 'text.jpg'}: not a picture ({', '.join(FORMATS)})"]
    assert {p.name for p in (folder / "out" / "pictures").iterdir()} == {"picture", "picture-2"}
    assert (folder / "out" / "manifest.json").is_file()
    sheet = read_picture(folder / "out" / "sheet.png")
    assert sheet.height > 2 * 160


def test_a_damaged_picture_that_was_named_stops_before_anything_is_written(model: Classifier, picture: Path) -> None:
    damaged = picture.parent / "half.png"
    damaged.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(DataError, match=r"half.png: damaged picture"):
        write_maps(Request.of(model), picture_files([picture, damaged]), picture.parent / "out")
    assert not (picture.parent / "out").exists()


def test_overlays_keep_the_size_and_hot_is_brighter() -> None:
    heat = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert overlay(Image.new("RGB", (4, 3)), heat).size == (4, 3)
    brightness = np.asarray(coloured(heat).convert("L")).flatten().astype(int)
    assert (np.diff(brightness) > 0).all()  # a perceptual colour map: more is brighter, everywhere


@pytest.mark.parametrize("name", [COLOUR_MAP, CHANGE_MAP])
def test_the_colours_are_matplotlibs(name: str) -> None:
    assert np.array_equal(colour_table(name), colormaps[name](np.arange(256), bytes=True)[:, :3])


def test_a_contact_sheet_holds_every_cell() -> None:
    red, blue = Image.new("RGB", (50, 20), "red"), Image.new("RGB", (2, 9), "blue")
    sheet = np.asarray(contact_sheet([[red, blue], [blue, red]], ["a", "b"], ["x" * 500, "y"], cell=40))
    assert (sheet == (255, 0, 0)).all(2).sum() == 2 * 40 * 16
    assert (sheet == (0, 0, 255)).all(2).sum() > 2 * 40 * 6


@pytest.mark.parametrize("size", [0, -5, 15, 100_000])
def test_sizes_that_cannot_be_looked_at(model: Classifier, picture: Path, size: int) -> None:
    with pytest.raises(UsageError, match=f"size is {size} pixels: vgg_att2_concat_pc takes 16 to 2048"):
        pa.explain(model, picture, size=size)


def test_results_of_awkward_names_do_not_collide(model: Classifier, picture: Path) -> None:
    folder = picture.parent
    for name in ("manifest.png", "長" * 80 + ".png", "a" * 250 + ".png"):
        Image.new("RGB", (20, 20)).save(folder / name)
    manifest = write_maps(Request.of(model), picture_files([folder]), folder / "out")
    assert len(manifest["pictures"]) == 4
    written = [name for p in manifest["pictures"] for name in p["files"].values()]
    assert len(set(written)) == len(written)
    assert all((folder / "out" / name).is_file() for name in [*written, *manifest["sheets"], "manifest.json"])
