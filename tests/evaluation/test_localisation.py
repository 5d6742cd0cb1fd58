"""MaxBoxAcc and pooled pixel AP against OpenCV's contours, scikit-learn and hand computations."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from payattention.attention.maps import stretched
from payattention.errors import PayAttentionError
from payattention.evaluation.metrics import box_overlaps, max_box_accuracy, pooled_average_precision, value_counts


def smooth_maps(n: int, height: int, width: int) -> torch.Tensor:
    """Blobs, in 0 ... 1."""
    coarse = torch.rand(n, 1, 4, 5)
    return stretched(torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[:, 0])


def square(top: int, left: int, side: int, height: int = 24, width: int = 32) -> torch.Tensor:
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def best_by_contours(heat: NDArray[np.float32], target: tuple[int, int, int, int]) -> list[float]:
    """As the authors' code finds boxes, by OpenCV, but not round holes; boxes are x, y, width and height."""
    cv2 = pytest.importorskip("cv2")
    best = []
    for k in range(100):
        above = (heat > np.float32(k / 100)).astype(np.uint8)
        contours, nested = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        outer = [] if nested is None else [c for c, links in zip(contours, nested[0], strict=True) if links[3] < 0]
        overlaps = [0.0]
        for x, y, w, h in map(cv2.boundingRect, outer):
            across = max(0, min(x + w, target[0] + target[2]) - max(x, target[0]))
            down = max(0, min(y + h, target[1] + target[3]) - max(y, target[1]))
            overlaps.append(across * down / (w * h + target[2] * target[3] - across * down))
        best.append(max(overlaps))
    return best


def test_boxes_are_those_of_the_authors_contours() -> None:
    maps = smooth_maps(6, 24, 32)
    truth = square(5, 8, 9).expand(6, -1, -1)
    for ours, heat in zip(box_overlaps(maps, truth), maps.numpy(), strict=True):
        assert ours.tolist() == pytest.approx(best_by_contours(heat, (8, 5, 9, 9)))


def test_box_accuracy_by_hand() -> None:
    """A box of 4x4 round a square of 4x4, one of 8x4, a constant map, and no object."""
    maps = torch.zeros(4, 24, 32)
    maps[0, 4:8, 4:8] = 1
    maps[1, 4:8, 4:12] = 1  # half of it
    maps[2] = 0.7
    maps[3] = maps[0]
    truth = torch.stack([square(4, 4, 4)] * 3 + [torch.zeros(24, 32, dtype=torch.bool)])
    overlaps = box_overlaps(maps, truth)
    assert overlaps[:3].amax(1).tolist() == [1.0, 0.5, 0.0]
    assert overlaps[3].isnan().all()
    assert max_box_accuracy(overlaps) == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    assert max_box_accuracy(overlaps, [0.5]) == pytest.approx(2 / 3)
    assert math.isnan(max_box_accuracy(overlaps[3:]))


def test_the_best_threshold_is_one_for_all_pictures() -> None:
    """A bright object on a half-bright ground and one where the ground is right: no threshold suits both."""
    maps = torch.full((2, 24, 32), 0.0)
    maps[:, 2:22, 2:22] = 0.5
    maps[:, 4:8, 4:8] = 1
    truth = torch.stack([square(4, 4, 4), square(2, 2, 20)])
    assert box_overlaps(maps, truth).amax(1).tolist() == [1.0, 1.0]
    assert max_box_accuracy(box_overlaps(maps, truth)) == 0.5


def test_several_objects_have_one_box() -> None:
    maps = torch.zeros(1, 24, 32)
    maps[0, 2:22, 3:23] = 1
    truth = (square(2, 3, 4) | square(18, 19, 4))[None]
    assert box_overlaps(maps, truth).max() == 1


def test_pooled_precision_is_scikit_learns() -> None:
    """On values that a thousand bins keep apart; many are equal."""
    maps, truth = torch.randint(50, (5, 8, 9)) / 49, torch.rand(5, 8, 9) < 0.3
    maps[:, 0, 0], maps[:, 0, 1] = 0, 1
    truth[4] = False  # all of it is background
    counts = torch.cat([value_counts(maps[:2], truth[:2]), value_counts(maps[2:], truth[2:])])
    expected = average_precision_score(truth.flatten(), maps.flatten())
    assert pooled_average_precision(counts) == pytest.approx(expected, abs=1e-6)
    assert pooled_average_precision(counts.sum(0, keepdim=True)) == pooled_average_precision(counts)
    assert math.isnan(pooled_average_precision(counts[4:]))


def test_a_constant_map_has_the_objects_share_as_pooled_precision() -> None:
    truth = square(0, 0, 6)[None]
    assert pooled_average_precision(value_counts(torch.full((1, 24, 32), 0.4), truth)) == pytest.approx(36 / 768)


def test_maps_that_are_not_finite_are_refused() -> None:
    maps, truth = torch.rand(2, 8, 9), torch.rand(2, 8, 9) < 0.3
    maps[0, 0, 0] = torch.nan
    for measure in (box_overlaps, value_counts):
        with pytest.raises(PayAttentionError, match="1 of 2 maps"):
            measure(maps, truth)
