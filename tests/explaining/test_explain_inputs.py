"""What people have goes in, one or many, and the answer is the same; what they ask of a class or a method comes out."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.errors import DataError, UsageError
from payattention.models import Classifier
from payattention.posthoc import grad_cam
from seeing import Brightness
from tiny import encoded, pixels

RGB = Image.fromarray(pixels(0, 40, 50))


@pytest.fixture
def gap() -> Classifier:
    model = pa.create_model("vgg_gap", num_classes=7, width=0.0625)
    model.classes = tuple("abcdefg")
    return model.eval()


def same(a: pa.Explanation, b: pa.Explanation) -> bool:
    pairs = [(a.probabilities, b.probabilities), *((a.maps[level], b.maps[level]) for level in a.maps)]
    return all(np.array_equal(x, y) for x, y in [*pairs, (np.asarray(a.picture), np.asarray(b.picture))])


def close(a: pa.Explanation, b: pa.Explanation) -> bool:
    pairs = [(a.probabilities, b.probabilities), *((a.maps[level], b.maps[level]) for level in a.maps)]
    return all(np.allclose(x, y, rtol=1e-3, atol=1e-5) for x, y in pairs)


@pytest.mark.parametrize("kind", ["palette", "turned", "plain"])
def test_the_same_picture_gets_the_same_answer_in_every_form(kind: str, model: Classifier, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = {
        "palette": encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "GIF"),
        "turned": encoded(RGB, "JPEG", exif=exif),
        "plain": encoded(RGB, "PNG"),
    }[kind]
    file = tmp_path / "picture.any"
    file.write_bytes(content)
    by_path = pa.explain(model, file)
    values = np.asarray(by_path.picture)
    with Image.open(file) as opened, file.open("rb") as handle:
        forms = (str(file), content, opened, handle, io.BytesIO(content), values, values / 255)
        assert all(same(by_path, pa.explain(model, form)) for form in forms)
    tensor = torch.from_numpy(values.copy()).permute(2, 0, 1)
    assert same(by_path, pa.explain(model, tensor))
    assert same(by_path, pa.explain(model, tensor / 255))


def test_a_list_is_what_single_calls_give_and_equal_sizes_are_one_pass(model: Classifier, tmp_path: Path) -> None:
    pictures = [pixels(k, *size) for k, size in enumerate([(40, 50), (32, 32), (40, 50), (64, 64), (32, 32), (50, 40)])]
    RGB.save(tmp_path / "last.png")
    passes: list[int] = []
    hook = model.trunk.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))  # type: ignore
    listed = pa.explain(model, [*pictures, tmp_path / "last.png"])
    hook.remove()
    assert sorted(passes) == [1, 3, 3]  # 40x32, 32x32 and 32x40 as the model sees them
    singles = [pa.explain(model, picture) for picture in [*pictures, tmp_path / "last.png"]]
    assert all(close(a, b) for a, b in zip(listed, singles, strict=True))
    assert [found.name for found in listed] == [*(f"picture-{k}" for k in range(1, 7)), "last"]


def test_batches_are_lists(model: Classifier) -> None:
    batch = np.stack([pixels(k, 32, 32) for k in range(3)])
    by_array = pa.explain(model, batch)
    by_tensor = pa.explain(model, torch.from_numpy(batch).permute(0, 3, 1, 2) / 255)
    assert len(by_array) == len(by_tensor) == 3
    assert all(close(a, b) for a, b in zip(by_array, by_tensor, strict=True))
    assert pa.explain(model, batch[:0]) == pa.explain(model, []) == []


def test_a_folder_is_a_list_of_what_it_holds_to_the_bottom(model: Classifier, tmp_path: Path) -> None:
    for k, place in enumerate(("b.png", "deep/a.png")):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(k, 32, 32)).save(tmp_path / place)
    assert [found.name for found in pa.explain(model, tmp_path)] == ["b", "a"]  # type: ignore[union-attr]
    (tmp_path / "cut.png").write_bytes(encoded(pixels(), "PNG")[:40])
    (tmp_path / "clip.mp4").touch()
    with pytest.warns(UserWarning, match=r"left out: .*clip\.mp4: a video.* \(and 1 more\)"):
        assert len(pa.explain(model, str(tmp_path))) == 2  # type: ignore[arg-type]
    (tmp_path / "b.png").unlink()
    (tmp_path / "deep" / "a.png").unlink()
    with pytest.raises(DataError, match=r"none of the pictures can be read: .*cut\.png"):
        pa.explain(model, tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"picture": None}, "got NoneType"),
        ({"picture": [RGB, 3]}, "picture-2: a picture is a file.*got int"),
        ({"picture": np.zeros((3, 9, 9))}, "channels come first"),
        ({"picture": np.full((9, 9, 3), 99.0)}, "divide by 255"),
        ({"picture": RGB, "size": 48.5}, "size is 48.5: it is a whole number of pixels"),
        ({"picture": RGB, "size": "48"}, "size is '48': it is a whole number"),
        ({"picture": RGB, "method": "gradcam"}, "unknown post-hoc method 'gradcam'; did you mean 'grad_cam'"),
        ({"picture": RGB, "method": "cam"}, "CAM is for networks that"),
        ({"picture": RGB, "scale": "fix"}, "unknown scale 'fix'; did you mean 'fixed'"),
        ({"picture": RGB, "target": "bird"}, "attention of vgg_att2_concat_pc is one map whatever the class"),
        ({"picture": RGB, "target": "all", "method": "activation"}, "activation is one map whatever the class"),
        ({"picture": RGB, "target": "birds", "method": "grad_cam"}, "unknown class 'birds'; did you mean 'bird'"),
        ({"picture": RGB, "target": 3, "method": "grad_cam"}, r"target 3: the model's classes are 0 \.\.\. 2"),
        ({"picture": RGB, "target": -1, "method": "grad_cam"}, "target -1"),
        ({"picture": RGB, "target": 1.5, "method": "grad_cam"}, "target 1.5: it is a class, by name or number"),
        ({"picture": RGB, "target": True, "method": "grad_cam"}, "target True"),
    ],
)
def test_a_wrong_call_gets_one_line(given: dict[str, object], words: str, model: Classifier) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        pa.explain(model, **given)  # type: ignore
    assert "\n" not in str(caught.value)


def test_a_model_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"explain takes a model, .* or pa\.wrap\(network\); got Linear"):
        pa.explain(torch.nn.Linear(1, 1), RGB)  # type: ignore[arg-type]


def test_an_empty_picture_and_one_that_is_missing_in_a_list(model: Classifier) -> None:
    with pytest.raises(DataError, match="it has no pixels"):
        pa.explain(model, Image.new("RGB", (0, 0)))
    with pytest.raises(DataError, match=r"no\.jpg: no such file"):
        pa.explain(model, [RGB, "no.jpg"])


@pytest.mark.parametrize("size", [48, np.int64(48), torch.tensor(48)])
def test_sizes_of_every_kind(size: int, model: Classifier) -> None:
    assert pa.explain(model, RGB, size=size).maps["layer10"].shape == (24, 30)


def test_a_class_by_name_and_by_number_and_the_most_probable(model: Classifier) -> None:
    """The maps are the method's own, of that class."""
    by_name = pa.explain(model, RGB, target="bird", method="grad_cam")
    assert by_name.target == "bird"
    assert by_name.method == "grad_cam"
    pixels_seen = (
        torch.from_numpy(np.array(RGB.resize((40, 32), Image.Resampling.BICUBIC))).permute(2, 0, 1)[None] / 255
    )
    by_hand = grad_cam(model, pixels_seen, torch.tensor([2]))
    for level, values in by_hand.items():
        np.testing.assert_allclose(by_name.maps[level], values[0].detach().numpy(), rtol=1e-4, atol=1e-7)
    for number in (2, np.int64(2)):
        assert same(pa.explain(model, RGB, target=number, method="grad_cam"), by_name)  # type: ignore[call-overload]
    covered = [pa.explain(model, RGB, method="score_cam", baseline=name) for name in ("black", "mean")]
    assert not same(*covered)
    of_all = pa.explain(model, RGB, target="all", method="grad_cam")
    assert isinstance(of_all, dict)
    assert list(of_all) == list(by_name.top)
    assert close(of_all["bird"], by_name)
    assert all(found.target == name for name, found in of_all.items())


@pytest.mark.parametrize("target", [None, "bird", 2])
def test_one_pass_gives_a_methods_maps_and_the_probabilities(model: Classifier, target: object) -> None:
    passes: list[None] = []
    model.trunk.register_forward_hook(lambda *_: passes.append(None))
    found = pa.explain(model, RGB, target=target, method="grad_cam")
    assert len(passes) == 1
    np.testing.assert_allclose(found.probabilities, pa.explain(model, RGB).probabilities, rtol=1e-5)


def test_the_five_most_probable_of_several_pictures(gap: Classifier) -> None:
    found = pa.explain(gap, [RGB, pixels(3, 32, 32)], target="all")
    assert isinstance(found, list)
    for by_class in found:
        assert isinstance(by_class, dict)
        assert list(by_class) == list(next(iter(by_class.values())).top)
        assert len(by_class) == 5
    by_class = pa.explain(gap, RGB, target="all")
    assert isinstance(by_class, dict)
    predicted = pa.explain(gap, RGB)
    assert close(by_class[predicted.label], predicted)
    assert not close(by_class[list(by_class)[1]], predicted)


def test_a_class_called_all_is_a_class(gap: Classifier) -> None:
    gap.classes = ("all", *"bcdefg")
    assert isinstance(pa.explain(gap, RGB, target="all"), pa.Explanation)


def test_a_model_without_maps_has_those_of_a_method(picture: Path) -> None:
    plain = pa.create_model("vgg", 3, 0.0625)
    found = pa.explain(plain, picture, method="grad_cam")
    assert found.maps
    assert found.combined.shape == found.mask.shape == (40, 50)
    assert not any(p.grad is not None for p in plain.parameters())


def test_a_map_that_is_nearly_flat_is_drawn_so_and_said(tmp_path: Path) -> None:
    """The field's own example: a sigmoid map from .4962 to .5006."""
    ramp = np.linspace(0.4962, 0.5006, 64, dtype=np.float32).reshape(8, 8)
    flat = _with_map(ramp)
    assert flat.nearly_flat == ("layer", "combined")
    assert "nearly flat: layer, combined" in flat.caption
    assert flat.heatmaps["layer"].max() == 1  # the numbers are as ever; only what is drawn is held back
    drawn = np.asarray(flat.overlay("layer")).astype(int)
    assert np.ptp(drawn.reshape(-1, 3), 0).max() < 40
    clear = _with_map(ramp - 0.48)
    assert clear.nearly_flat == ()
    assert "flat" not in clear.caption
    assert np.ptp(np.asarray(clear.overlay("layer")).reshape(-1, 3).astype(int), 0).max() > 100


def test_on_a_fixed_scale_a_colour_is_a_value() -> None:
    from payattention.pictures.drawing import coloured

    ramp = np.linspace(0.4, 0.6, 64, dtype=np.float32).reshape(8, 8)
    drawn = np.asarray(_with_map(ramp, "fixed").overlay("layer", opacity=1))
    assert (drawn == np.asarray(coloured(ramp))).all()


def _with_map(values: np.ndarray, scale: str = "own") -> pa.Explanation:
    grey = Image.new("RGB", values.shape[::-1], "grey")
    probabilities = np.array([0.25, 0.75], np.float32)
    return pa.Explanation(grey, "grey", "b", probabilities, ("a", "b"), {"layer": values}, values, scale=scale)


def test_a_picture_in_a_list_whose_maps_are_no_numbers_is_named() -> None:
    red = Image.new("RGB", (20, 20), (255, 0, 0))
    with pytest.raises(DataError, match="picture-2: the low map of Brightness holds NaN"):
        pa.explain(Brightness(20), [Image.new("RGB", (20, 20)), red])


def test_a_method_of_gradients_needs_no_gradients_of_its_caller(tmp_path: Path) -> None:
    model = pa.create_model("vgg_att_pc", 2, 0.0625).eval()
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    expected = pa.explain(model, picture, method="grad_cam")
    with torch.inference_mode():
        found = pa.explain(model, picture, method="grad_cam")
    assert np.array_equal(found.combined, expected.combined)
    (tmp_path / "a.png").touch()
    with pytest.raises(UsageError, match=r"a\.png: a file is there"):
        found.save(tmp_path / "a.png")
