"""The guided filter against the paper's sums, window by window, and what it does to a map."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import payattention as pa
from payattention.errors import UsageError
from payattention.explaining.guided_filter import coefficients, guided
from payattention.models import Classifier

H, W, RADIUS, EPS = 6, 7, 2, 0.01


def test_coefficients_are_those_of_each_window() -> None:
    """Equations 19 to 21, with every window made one pixel after the other."""
    random = np.random.default_rng(0)
    guide, values = random.random((H, W, 3), np.float32), random.random((H, W), np.float32)
    slopes, offset = coefficients(guide, values, RADIUS, EPS)
    windows = {}
    for y in range(H):
        for x in range(W):
            rows, columns = slice(max(0, y - RADIUS), y + RADIUS + 1), slice(max(0, x - RADIUS), x + RADIUS + 1)
            colours, inside = guide[rows, columns].reshape(-1, 3).astype(float), values[rows, columns].ravel()
            spread = np.cov(colours.T, bias=True) + EPS * np.eye(3)
            a = np.linalg.solve(spread, (colours * inside[:, None]).mean(0) - colours.mean(0) * inside.mean())
            windows[y, x] = a, inside.mean() - a @ colours.mean(0)
    for y in range(H):
        for x in range(W):
            near = [windows[v, u] for v, u in windows if abs(v - y) <= RADIUS and abs(u - x) <= RADIUS]
            np.testing.assert_allclose(slopes[y, x], np.mean([a for a, _ in near], 0), rtol=1e-4, atol=1e-6)
            assert offset[y, x] == pytest.approx(np.mean([b for _, b in near]), rel=1e-4, abs=1e-6)


def disc(size: int) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """A dark disc on a bright ground, its mask, and a map of four cells across that means it."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    mask = x**2 + y**2 < 0.08
    pixels = np.where(mask[:, :, None], (40, 60, 50), (200, 190, 210)).astype(np.uint8)
    heat = np.exp(-8 * (x**2 + y**2)).astype(np.float32)
    return Image.fromarray(pixels), mask, heat


@pytest.mark.parametrize("size", [100, 700])
def test_a_map_is_brought_to_the_edge(size: int) -> None:
    """Also of a picture that is larger than the copy on which windows are made."""
    picture, mask, heat = disc(size)
    refined = guided(picture, heat)
    assert refined.shape == heat.shape
    assert refined.dtype == np.float32
    assert refined.min() >= 0
    assert refined.max() <= 1
    across, middle = slice(size // 2, size), size // 2
    steepest = int(np.abs(np.diff(refined[middle, across])).argmax())
    edge = int(mask[middle, across].sum()) - 1
    assert abs(steepest - edge) <= max(1, size // 200)
    assert int(np.abs(np.diff(heat[middle, across])).argmax()) < 0.95 * edge


def test_what_has_no_edges_and_what_has_no_map_stay() -> None:
    _, _, heat = disc(60)
    plain = Image.new("RGB", (60, 60), (90, 120, 30))
    assert np.abs(guided(plain, heat) - heat).max() < 0.25  # blurred, as by the mean of the windows' means
    np.testing.assert_allclose(guided(disc(60)[0], np.full((60, 60), 0.3, np.float32)), 0.3, atol=1e-5)


def test_an_explanation_says_that_it_was_refined(model: Classifier, picture: Path) -> None:
    result, plain = pa.explain(model, picture, refine="guided"), pa.explain(model, picture)
    followed = guided(plain.picture, plain.combined)
    followed = (followed - followed.min()) / (followed.max() - followed.min())
    np.testing.assert_allclose(result.combined, followed, atol=1e-5)
    assert (result.maps["layer10"] == plain.maps["layer10"]).all()
    assert "brought to the picture's edges" in result.caption
    assert result.overlay() != plain.overlay()
    assert replace(result, refine=None).overlay() == plain.overlay()
    with pytest.raises(UsageError, match="unknown refinement 'crf'; there are: guided"):
        pa.explain(model, picture, refine="crf")
