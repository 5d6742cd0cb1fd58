"""Every way to see an explanation."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import payattention as pa
from payattention.errors import UsageError
from payattention.explaining.explanations import AllByClass, ByClass, Explanations
from payattention.explaining.output_form import OutputForm
from payattention.pictures.drawing import dimmed

GREY = Image.fromarray(np.full((30, 40, 3), 128, np.uint8))


@pytest.fixture
def seen() -> pa.Explanation:
    """A map of one bright square, of a picture that is grey; the classes' names are what people write."""
    spot = np.zeros((30, 40), np.float32)
    spot[10:20, 10:20] = 1
    names = ("<b>$bold$</b>", "cat", "a name of more than two dozen letters", "d", "e", "f")
    probabilities = np.array([0.5, 0.2, 0.1, 0.08, 0.07, 0.05], np.float32)
    return pa.Explanation(GREY, "tom", names[0], probabilities, names, {"layer7": spot}, spot)


def test_the_repr_is_a_line(seen: pa.Explanation) -> None:
    assert repr(seen) == "Explanation(tom, 40x30: <b>$bold$</b> 50.0%; attention: layer7)"


def test_a_notebook_shows_pictures_and_the_top_classes(seen: pa.Explanation) -> None:
    shown = seen._repr_html_()
    assert shown.count("data:image/png;base64,") == 2
    assert "&lt;b&gt;$bold$&lt;/b&gt;</td><td>50.0%" in shown
    assert "<b>" not in shown
    assert shown.count("<tr>") == 1 + 5
    assert len(shown) < 200_000


def test_a_notebook_shows_lists_and_dictionaries_too(seen: pa.Explanation) -> None:
    other = replace(seen, name="<other>")
    several = Explanations([seen, other])
    assert isinstance(several, list)
    assert several == [seen, other]
    assert several._repr_html_().count("data:image/png") == 2 * seen._repr_html_().count("data:image/png")
    assert "&lt;other&gt;" in several._repr_html_()
    by_class = ByClass({"a & b": seen})
    assert isinstance(by_class, dict)
    assert "a &amp; b" in by_class._repr_html_()
    assert f"{seen.name}: a &amp; b" in AllByClass([by_class])._repr_html_()
    assert Explanations([seen] * 30)._repr_html_().endswith("<p>and 6 more</p>")


def test_dim_is_dark_where_the_map_is_low_and_untouched_where_it_is_high(seen: pa.Explanation) -> None:
    dim = np.asarray(seen.overlay("layer7", "dim", opacity=0.75))
    assert (dim[12:18, 12:18] == 128).all()
    assert (dim[:8] == 32).all()


def test_contours_run_about_what_is_high_and_close_at_the_border(seen: pa.Explanation) -> None:
    drawn = np.asarray(seen.overlay(style="contour", opacity=1)) != 128
    assert drawn.any(2)[8:12, 8:22].any()
    assert not drawn[13:17, 13:17].any()
    assert not drawn[25:].any()
    everywhere = np.ones((30, 40), np.float32)
    everywhere[0, 0] = 0
    whole = pa.Explanation(GREY, "x", "a", np.ones(1, np.float32), ("a",), {"l": everywhere}, everywhere)
    framed = np.asarray(whole.overlay(style="contour", opacity=1)) != 128
    assert framed[-1].any()
    assert framed[:, -1].any()


def test_a_line_runs_about_what_lies_above_half_the_map_also_on_a_dark_picture() -> None:
    spot = np.zeros((30, 40), np.float32)
    spot[10:20, 10:20] = 1
    black = Image.new("RGB", (40, 30))
    drawn = np.asarray(dimmed(black, spot, 1.0)) == 255
    assert drawn[9:11, 12:18].any()
    assert not drawn[12:18, 12:18].any()
    assert not drawn[24:].any()


@pytest.mark.parametrize("style", ["heat", "dim", "contour"])
def test_no_opacity_leaves_the_picture(seen: pa.Explanation, style: str) -> None:
    assert (np.asarray(seen.overlay(style=style, opacity=0)) == 128).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"level": "layer8"}, "unknown level 'layer8'; did you mean 'layer7'"),
        ({"style": "neon"}, "unknown style 'neon'; there are: contour, dim, heat"),
        ({"opacity": 60}, "the opacity is 60: it must be in 0 ... 1"),
        ({"opacity": float("nan")}, "the opacity is nan"),
    ],
)
def test_what_cannot_be_drawn(seen: pa.Explanation, given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        seen.overlay(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_figure_names_the_classes_and_opens_no_window(seen: pa.Explanation, kind: str) -> None:
    figure = seen.figure()
    written = io.BytesIO()
    figure.savefig(written, format=kind)
    assert len(written.getvalue()) > 1000
    assert figure.axes[1].get_title() == "40x30: layer7"
    bars = figure.axes[2]
    assert [label.get_text() for label in bars.get_yticklabels()] == [
        "<b>$bold$</b>",
        "cat",
        "a name of more than t...",
        "d",
        "e",
    ]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([0.5, 0.2, 0.1, 0.08, 0.07])
    import sys

    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_figures_colour_bars_are_in_the_maps_own_values(seen: pa.Explanation) -> None:
    flat = np.linspace(0.4962, 0.5006, 1200, dtype=np.float32).reshape(30, 40)
    for scale, high in (("own", 0.4962 + 0.1 * 0.5006), ("fixed", 1.0)):
        found = pa.Explanation(GREY, "x", "a", np.ones(1, np.float32), ("a",), {"l": flat}, flat, scale=scale)
        figure = found.figure()
        assert figure.axes[1].get_title() == "40x30: l (nearly flat)"
        bar = next(axis for axis in figure.axes if axis.get_label() == "<colorbar>")
        assert bar.get_ylim()[1] == pytest.approx(high, abs=1e-3)


def test_saving_takes_the_pictures_name_and_overwrites_nothing(seen: pa.Explanation, tmp_path: Path) -> None:
    first, second, third = seen.save(tmp_path), seen.save(tmp_path), seen.save(tmp_path, "TOM-3")
    assert first["mask"] == "tom.mask.png"
    assert second["mask"] == "tom-2.mask.png"
    assert third["mask"] == "TOM-3.mask.png"
    assert len(list(tmp_path.iterdir())) == 3 * (len(first) + 1)
    facts = json.loads((tmp_path / "tom.json").read_text())
    assert facts["method"] == "attention"
    assert facts["target"] is None
    assert facts["nearly_flat"] == []
    for name in ("a/b", "", "..", "/x"):
        with pytest.raises(UsageError, match="what the files' names begin with"):
            seen.save(tmp_path, name)


def test_long_names_are_cut(seen: pa.Explanation, tmp_path: Path) -> None:
    files = seen.save(tmp_path, "長" * 200)
    assert all((tmp_path / name).is_file() for name in files.values())
    assert re.fullmatch("長{60}.mask.png", files["mask"])


def test_what_the_picture_is_of_is_set_beside_what_is_said(seen: pa.Explanation) -> None:
    right, wrong = replace(seen, true_class=seen.label), replace(seen, true_class="cat")
    assert not seen.wrong
    assert not right.wrong
    assert wrong.wrong
    assert "right: &lt;b&gt;$bold$&lt;/b&gt;" in right._repr_html_()
    assert "wrong: it is cat" in wrong._repr_html_()
    assert wrong.figure().axes[0].get_title() == "tom\nwrong: it is cat"
    assert wrong.caption == "<b>$bold$</b> (50%); wrong: it is cat"
    assert seen.caption == right.caption == "<b>$bold$</b> (50%)"


def test_levels_that_look_at_different_places_are_told(seen: pa.Explanation) -> None:
    elsewhere = np.zeros((15, 20), np.float32)
    elsewhere[10:, 15:] = 1
    both = replace(seen, maps={**seen.maps, "layer13": elsewhere})
    assert both.notes == ("layer7 and layer13 disagree: overlap 0%",)
    assert both.notes[0] in both._repr_html_()
    assert list(both.shown.values()) == ["fine, 40x30: layer7", "coarse, 20x15: layer13", "combined, 40x30"]


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
@pytest.mark.parametrize(
    ("parts", "written"),
    [
        ({"overlays"}, {"layer7.{}"}),
        ({"sheet"}, {"sheet.{}"}),
        ({"raw"}, {"layer7.npy", "mask.png", "numbers.json"}),
    ],
)
def test_what_is_saved_is_what_was_asked_for(
    seen: pa.Explanation, parts: set[str], written: set[str], kind: str, tmp_path: Path
) -> None:
    for number in ("", "-2"):  # nothing is overwritten
        files = seen.save(tmp_path, form=OutputForm(frozenset(parts), "dim", kind))
        there = {path.name for path in (tmp_path / f"tom{number}").iterdir()}
        assert there == {name.format(kind) for name in written}
        assert {Path(name).name for name in files.values()} == there - {"numbers.json"}
    for name in files.values():
        if name.endswith(f"layer7.{kind}"):
            with Image.open(tmp_path / name) as found:
                assert found.size == (40, 30)
                assert found.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[kind]


def test_small_overlays_are_of_the_size_asked_for(seen: pa.Explanation) -> None:
    assert seen.overlay(side=20).size == (20, 15)
    assert seen.overlay(side=80).size == (80, 60)
    assert {panel.picture.size for panel in seen.entry("it", side=60).panels} == {(60, 45)}
