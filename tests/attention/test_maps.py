"""Combining, stretching and pointing, against hand-made maps."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from skimage.filters import threshold_otsu

from payattention.attention.maps import combined, otsu_mask, peaks, stretched, upsampled
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation import pointing
from payattention.evaluation.metrics.pointing import dilated
from payattention.models import Classifier, Look


def test_combined_is_the_root_of_the_product_on_the_finer_grid() -> None:
    fine = torch.tensor([[[1.0, 4.0], [9.0, 16.0]]])
    coarse = torch.tensor([[[4.0]]])
    # products 4, 16, 36, 64; roots 2, 4, 6, 8; stretched to 0 ... 1
    torch.testing.assert_close(combined([coarse, fine]), torch.tensor([[[0.0, 1 / 3], [2 / 3, 1.0]]]))
    torch.testing.assert_close(combined([fine, coarse], root=False), torch.tensor([[[0.0, 0.2], [32 / 60, 1.0]]]))


def test_only_the_last_two_levels_are_combined() -> None:
    low, middle, high = torch.rand(3, 2, 4, 4)
    torch.testing.assert_close(combined([low, middle, high]), combined([middle, high]))
    torch.testing.assert_close(combined([high]), stretched(high))


def test_a_constant_map_stretches_to_zero_and_masks_nothing() -> None:
    constant = torch.full((1, 3, 3), 0.7)
    assert (stretched(constant) == 0).all()
    assert not otsu_mask(constant[0]).any()


def test_otsu_is_scikit_images() -> None:
    heat = torch.rand(20, 30)
    assert (otsu_mask(heat).numpy() == (heat.numpy() > threshold_otsu(heat.numpy()))).all()


def test_a_map_that_is_constant_but_for_rounding_has_a_mask() -> None:
    heat = torch.full((4, 4), 0.7)
    heat[0, 0] = torch.nextafter(heat[0, 0], torch.tensor(1.0))
    assert otsu_mask(heat).nonzero().tolist() == [[0, 0]]


def test_peaks_are_rows_and_columns() -> None:
    maps = torch.zeros(2, 5, 7)
    maps[0, 3, 6] = maps[1, 4, 0] = 1
    assert peaks(maps).tolist() == [[3, 6], [4, 0]]


def test_upsampling_keeps_the_peak_at_its_place() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2] = 1
    y, x = peaks(upsampled(maps, (32, 32)))[0].tolist()
    assert 8 <= y < 16  # the cell (1, 2) covers rows 8-15, columns 16-23
    assert 16 <= x < 24


@pytest.mark.parametrize("pixels", [0, 1, 2, 15])
def test_dilation_reaches_as_far_as_the_nearest_object_and_no_further(pixels: int) -> None:
    """scipy's distance transform; the disc is the field's, a square would reach further at its corners."""
    masks = torch.rand(3, 40, 50) < 0.002
    for mask, grown in zip(masks, dilated(masks, pixels), strict=True):
        assert (grown.numpy() == (distance_transform_edt(~mask.numpy()) <= pixels)).all()


class Pointer(Classifier):
    """Looks at one given pixel of a 32x32 image."""

    levels = ("layer",)

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.at = row, column

    def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
        maps = torch.zeros(len(images), 32, 32)
        maps[:, self.at[0], self.at[1]] = 1
        return Look(torch.zeros(len(images), 2), {"layer": maps})


def test_the_pointing_game_counts_hits_of_the_object(image_set: ImageSet) -> None:
    """The object is the upper left 8x8; 97 pixels lie within 2 of it."""
    assert pointing(Pointer(8, 8), image_set).hits == {
        "layer": 100.0,
        "combined": 100.0,
        "image centre": 0.0,
        "random point": round(100 * 97 / 1024, 2),
    }
    assert pointing(Pointer(9, 9), image_set).hits["layer"] == 0.0
    assert pointing(Pointer(9, 9), image_set, tolerance=3).hits["layer"] == 100.0


def test_a_map_of_several_peaks_scores_the_share_that_hits(image_set: ImageSet) -> None:
    class Everywhere(Pointer):
        def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
            return Look(torch.zeros(len(images), 2), {"layer": torch.ones(len(images), 4, 4)})

    hits = pointing(Everywhere(0, 0), image_set).hits
    assert hits["layer"] == hits["random point"]


def test_images_without_an_object_do_not_count(image_set: ImageSet) -> None:
    masks = image_set.masks.copy()
    masks[4:] = False
    few = ImageSet("few", "test", image_set.images, image_set.labels, image_set.classes, masks)
    result = pointing(Pointer(0, 0), few)
    assert result.count == 4
    assert result.hits["layer"] == 100.0


def test_pointing_needs_masks_and_maps(image_set: ImageSet, model: Classifier) -> None:
    bare = ImageSet("bare", "test", image_set.images, image_set.labels, image_set.classes)
    with pytest.raises(UsageError, match="bare has no object masks"):
        pointing(model, bare)
    with pytest.raises(UsageError, match="no attention maps"):
        pointing(torch.nn.Module.__new__(Classifier), image_set)


def test_masks_of_pictures_are_of_the_pictures_size() -> None:
    assert otsu_mask(torch.from_numpy(np.eye(4, 6, dtype=np.float32))).shape == (4, 6)
