"""Map metrics against hand computations and against scikit-learn and scikit-image."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_otsu
from sklearn.metrics import average_precision_score, roc_auc_score

from payattention.attention.maps import peaks
from payattention.errors import PayAttentionError
from payattention.evaluation.comparison.trivial import all_ones, centred_gaussian, random_maps
from payattention.evaluation.metrics import (
    energy_inside,
    entropy,
    gini,
    jaccard,
    otsu_masks,
    perturbation_areas,
    pixel_average_precision,
    pointing_hits,
    relevance_rank_accuracy,
    roc_auc,
)
from payattention.evaluation.metrics.perturbation import ranks
from payattention.posthoc.baselines import blurred


def test_jaccard_by_hand() -> None:
    masks = torch.zeros(4, 2, 3, dtype=torch.bool)
    truth = torch.zeros_like(masks)
    masks[0, 0] = truth[0, :, 0] = True  # 3 and 2 pixels, 1 in common: 1 of 4
    masks[1] = truth[1] = True
    masks[2, 1, 1] = True  # no object
    assert jaccard(masks, truth).tolist() == [0.25, 1.0, 0.0, 1.0]


def test_otsu_masks_are_scikit_images() -> None:
    maps = torch.rand(5, 20, 30) ** torch.arange(1, 6)[:, None, None]
    for heat, mask in zip(maps.numpy(), otsu_masks(maps).numpy(), strict=True):
        assert (mask == (heat > threshold_otsu(heat))).all()
        assert 0 < mask.mean() < 1


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_a_constant_map_takes_the_whole_picture(value: float) -> None:
    assert otsu_masks(torch.full((2, 3, 4), value)).all()


def test_average_precision_by_hand() -> None:
    """Descending: hit, miss, hit, miss. The mean of 1/1 and 2/3."""
    maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    truth = torch.tensor([[[True, False], [True, False]]])
    assert pixel_average_precision(maps, truth).item() == pytest.approx((1 + 2 / 3) / 2)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6), st.sampled_from([2, 5, 1000]))
def test_average_precision_is_scikit_learns(seed: int, height: int, width: int, values: int) -> None:
    """Few values make many ties."""
    random = torch.Generator().manual_seed(seed)
    maps = torch.randint(values, (4, height, width), generator=random) / values
    truth = torch.rand(4, height, width, generator=random) < 0.4
    for precision, heat, mask in zip(pixel_average_precision(maps, truth), maps, truth, strict=True):
        if mask.any():
            assert precision.item() == pytest.approx(average_precision_score(mask.flatten(), heat.flatten()), abs=1e-6)
        else:
            assert precision.isnan()


def test_a_constant_map_has_the_objects_share_as_precision() -> None:
    truth = torch.zeros(1, 4, 5, dtype=torch.bool)
    truth[0, :3, 1] = True
    assert pixel_average_precision(all_ones(1, 4, 5), truth).item() == pytest.approx(3 / 20)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6), st.sampled_from([2, 5, 1000]))
def test_roc_auc_is_scikit_learns(seed: int, height: int, width: int, values: int) -> None:
    random = torch.Generator().manual_seed(seed)
    maps = torch.randint(values, (4, height, width), generator=random) / values
    truth = torch.rand(4, height, width, generator=random) < 0.4
    for area, heat, mask in zip(roc_auc(maps, truth), maps, truth, strict=True):
        if mask.any() and not mask.all():
            assert area.item() == pytest.approx(roc_auc_score(mask.flatten(), heat.flatten()), abs=1e-6)
        else:
            assert area.isnan()


def test_a_constant_map_has_half_of_all_pairs_right() -> None:
    truth = torch.zeros(1, 4, 5, dtype=torch.bool)
    truth[0, :3, 1] = True
    assert roc_auc(all_ones(1, 4, 5), truth).item() == 0.5


def test_relevance_rank_accuracy_by_hand() -> None:
    """Of three pixels on the object: two of the first three; then one, and one of two places for four equal ones."""
    maps = torch.tensor([[[9.0, 8.0, 7.0], [1.0, 2.0, 3.0]], [[9.0, 5.0, 5.0], [5.0, 5.0, 0.0]], [[1.0] * 3] * 2])
    truth = torch.tensor([[[True, True, False], [False, False, True]]]).repeat(4, 1, 1)
    truth[3] = False
    truth[1] = torch.tensor([[True, True, True], [False, False, False]])
    scores = relevance_rank_accuracy(torch.cat([maps, maps[:1]]), truth)
    assert scores[:3].tolist() == pytest.approx([2 / 3, (1 + 2 * 2 / 4) / 3, 3 / 6])
    assert scores[3].isnan()  # no object


def test_relevance_rank_accuracy_is_what_the_first_pixels_hit() -> None:
    maps, truth = torch.rand(6, 9, 7), torch.rand(6, 9, 7) < 0.3
    for accuracy, heat, mask in zip(relevance_rank_accuracy(maps, truth), maps, truth, strict=True):
        first = heat.flatten().topk(int(mask.sum())).indices
        assert accuracy.item() == pytest.approx(mask.flatten()[first].float().mean().item())


def ranked(maps: torch.Tensor) -> None:
    images, labels = torch.rand(len(maps), 3, 3, 3), torch.zeros(len(maps), dtype=torch.long)
    perturbation_areas(lambda x: x.mean((2, 3)), images, labels, maps)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_that_are_not_finite_are_counted(value: float) -> None:
    maps = torch.rand(5, 3, 3)
    maps[1, 0, 0] = maps[4, 2, 2] = value
    truth = torch.ones(5, 3, 3, dtype=torch.bool)
    on_truth = (pixel_average_precision, roc_auc, relevance_rank_accuracy, pointing_hits, energy_inside)
    for measure in (otsu_masks, entropy, gini, ranked, *(partial(m, truth=truth) for m in on_truth)):
        with pytest.raises(PayAttentionError, match="2 of 5 maps hold NaN or infinite values"):
            measure(maps)


def test_the_gaussian_peaks_at_the_centre_and_is_a_quarter_wide() -> None:
    gaussian = centred_gaussian(2, 9, 5)
    assert peaks(gaussian).tolist() == [[4, 2], [4, 2]]
    assert gaussian[0, 4, 2] == 1
    # one deviation (9/4 rows) below the centre is e^-1/2; row 5 is 1 of 9/4 away
    assert gaussian[0, 5, 2].item() == pytest.approx(np.exp(-0.5 * (1 / (9 / 4)) ** 2), rel=1e-5)
    torch.testing.assert_close(gaussian, gaussian.flip(1, 2))


def test_random_maps_are_new_each_time_and_repeat() -> None:
    def random() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    one = random()
    first, second = random_maps(2, 3, 4, one), random_maps(2, 3, 4, one)
    assert not torch.equal(first, second)
    assert torch.equal(first, random_maps(2, 3, 4, random()))


def test_pointing_by_hand() -> None:
    """One peak too far from the object, one on it, one near it; then two peaks of which one hits; then no object."""
    maps = torch.zeros(5, 6, 6)
    truth = torch.zeros(5, 6, 6, dtype=torch.bool)
    truth[:4, 0, 0] = True
    truth[1, 5, 5] = True  # several objects: any of them
    maps[0, 2, 1] = maps[1, 5, 5] = maps[2, 1, 1] = 1
    maps[3, 0, 0] = maps[3, 5, 5] = 1
    assert pointing_hits(maps, truth, tolerance=2).nan_to_num(-1).tolist() == [0, 1, 1, 0.5, -1]
    assert pointing_hits(maps, truth, tolerance=3)[0] == 1


def test_a_single_peak_hits_where_its_nearest_object_is_near() -> None:
    maps, truth = torch.rand(20, 7, 9), torch.rand(20, 7, 9) < 0.1
    truth[:, 0, 0] = True
    nearest = [((mask.nonzero() - peak) ** 2).sum(1).min() for mask, peak in zip(truth, peaks(maps), strict=True)]
    assert pointing_hits(maps, truth, 2).tolist() == [float(squared <= 4) for squared in nearest]


def test_a_constant_map_points_as_a_random_point_does() -> None:
    truth = torch.zeros(1, 5, 8, dtype=torch.bool)
    truth[0, 1:3, 1:3] = True
    assert pointing_hits(all_ones(1, 5, 8), truth, tolerance=0).item() == pytest.approx(4 / 40)


def test_energy_by_hand() -> None:
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]] * 3)
    maps[2] = 0
    truth = torch.zeros(3, 2, 2, dtype=torch.bool)
    truth[0, 1] = truth[2, 1] = True
    scores = energy_inside(maps, truth)
    assert scores[0].item() == pytest.approx(7 / 10)
    assert scores[1].isnan()  # no object
    assert scores[2].item() == pytest.approx(2 / 4)  # no mass: the object's share
    assert energy_inside(1e-38 * maps[:1], truth[:1]).item() == pytest.approx(7 / 10)


def test_negative_mass_is_refused() -> None:
    maps = torch.rand(3, 2, 2)
    maps[1, 0, 0] = -0.1
    with pytest.raises(PayAttentionError, match="1 of 3 maps hold negative values"):
        energy_inside(maps, torch.ones(3, 2, 2, dtype=torch.bool))


def test_entropy_by_hand() -> None:
    maps = torch.zeros(4, 2, 4)
    maps[0, 1, 2] = 5  # one pixel
    maps[1] = 0.3  # uniform
    maps[2, 0, :2] = 1  # two of eight: log 2 / log 8
    maps[3, 0, 0], maps[3, 1, 1] = 3, 1  # 3/4 and 1/4
    quarters = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(8)
    assert entropy(maps).tolist() == pytest.approx([0, 1, 1 / 3, quarters], abs=1e-6)


def test_gini_by_hand() -> None:
    """The mean difference of two pixels, drawn with return, over twice the mean: its other definition."""
    maps = torch.rand(4, 3, 5) ** 4
    maps[1] = 0.3  # uniform
    maps[2] = 0
    maps[3] = 0
    maps[3, 1, 1] = 7  # one pixel of 15
    flat = maps[0].flatten()
    differences = (flat[:, None] - flat).abs().mean() / (2 * flat.mean())
    assert gini(maps).tolist() == pytest.approx([differences.item(), 0, 0, 1 - 1 / 15], abs=1e-6)


def test_ranks_put_the_highest_first() -> None:
    maps = torch.tensor([[[0.1, 0.9], [0.5, 0.3]]])
    assert ranks(maps).tolist() == [[[3, 0], [1, 2]]]


def test_equal_pixels_have_a_random_order_that_is_the_same_for_all_maps() -> None:
    ties = ranks(torch.zeros(2, 8, 8))
    assert torch.equal(ties[0], ties[1])
    assert sorted(ties[0].flatten().tolist()) == list(range(64))
    assert ties[0, 0].float().std() > 5  # not row by row
    mixed = torch.zeros(1, 8, 8)
    mixed[0, 4:] = 1
    assert (ranks(mixed)[0, 4:] < 32).all()


def brightness(images: torch.Tensor) -> torch.Tensor:
    """A classifier whose second class is as likely as the picture is bright in its upper left pixel."""
    p = images[:, 0, 0, 0]
    return torch.stack([1 - p, p], dim=1)


def test_perturbation_areas_by_hand() -> None:
    """A white corner pixel on black: by one pixel of four at a time.

    Deletion in the map's order leaves p = 1 until the corner goes, then the mean colour, 1/4. Insertion starts from the
    picture's blurred corner.
    """
    images = torch.zeros(2, 3, 2, 2)
    images[:, :, 0, 0] = 1
    maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]]])  # the corner first, and last
    areas = perturbation_areas(brightness, images, torch.tensor([1, 1]), maps, steps=4)
    p = blurred(images)[0, 0, 0, 0].item()
    early, late = [1, 0.25, 0.25, 0.25, 0.25], [1, 1, 1, 1, 0.25]
    assert areas.deletion.tolist() == pytest.approx([np.trapezoid(curve, dx=0.25) for curve in (early, late)])
    early, late = [p, 1, 1, 1, 1], [p, p, p, p, 1]
    assert areas.insertion.tolist() == pytest.approx([np.trapezoid(curve, dx=0.25) for curve in (early, late)])


def test_the_blurred_picture_keeps_sixteen_means() -> None:
    images = torch.rand(1, 3, 16, 24)
    small = blurred(images)
    assert small.shape == images.shape
    torch.testing.assert_close(small.mean(), images.mean(), atol=0.03, rtol=0)
    assert small.std() < 0.3 * images.std()
    flat = torch.full((1, 3, 5, 5), 0.25)
    torch.testing.assert_close(blurred(flat), flat)
