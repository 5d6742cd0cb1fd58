"""Map metrics against hand computations and against scikit-learn and scikit-image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_otsu
from sklearn.metrics import average_precision_score

from payattention.errors import PayAttentionError
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision
from payattention.evaluation.trivial import all_ones, centred_gaussian, random_maps
from payattention.maps import peaks


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_that_are_not_finite_are_counted(value: float) -> None:
    maps = torch.rand(5, 3, 3)
    maps[1, 0, 0] = maps[4, 2, 2] = value
    truth = torch.ones(5, 3, 3, dtype=torch.bool)
    for measure in (otsu_masks, lambda maps: pixel_average_precision(maps, truth)):
        with pytest.raises(PayAttentionError, match="2 of 5 maps hold NaN or infinite values"):
            measure(maps)


def test_the_gaussian_peaks_at_the_centre_and_is_a_quarter_wide() -> None:
    gaussian = centred_gaussian(2, 9, 5)
    assert peaks(gaussian).tolist() == [[4, 2], [4, 2]]
    assert gaussian[0, 4, 2] == 1
    # one deviation (9/4 rows) below the centre is e^-1/2; row 5 is 1 of 9/4 away
    assert gaussian[0, 5, 2].item() == pytest.approx(np.exp(-0.5 * (1 / (9 / 4)) ** 2), rel=1e-5)
    torch.testing.assert_close(gaussian, gaussian.flip(1, 2))


def test_random_maps_repeat() -> None:
    assert torch.equal(random_maps(2, 3, 4, seed=1), random_maps(2, 3, 4, seed=1))
    assert not torch.equal(random_maps(2, 3, 4, seed=1), random_maps(2, 3, 4, seed=2))
