"""Combining, stretching and pointing, against hand-made maps."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.filters import threshold_otsu
from torch import Tensor

from payattention.attention.maps import combined, drawable, enlarged, otsu_mask, overlap, peaks, stretched, upsampled
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


@pytest.mark.parametrize("size", [(70, 70), (64, 90), (7, 9), (300, 11), (3, 4)])
def test_maps_are_enlarged_as_pillow_does_it_but_within_their_range(size: tuple[int, int]) -> None:
    maps = torch.rand(3, 7, 9)
    for values, found in zip(maps.numpy(), enlarged(maps, size).numpy(), strict=True):
        large = np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found, large.clip(values.min(), values.max()), atol=2e-5)


def test_enlarging_adds_nothing() -> None:
    """No value beyond the map's own, a flat map stays flat, and a bump keeps its height, its mass and its place."""
    maps = torch.rand(5, 7, 7).pow(8)  # spiky: a bicubic curve alone overshoots
    large = enlarged(maps, (101, 67))
    assert (large.amin((1, 2)) >= maps.amin((1, 2))).all()
    assert (large.amax((1, 2)) <= maps.amax((1, 2))).all()
    assert (enlarged(torch.full((1, 7, 7), 0.3), (300, 200)) == torch.tensor(0.3)).all()
    y, x = torch.meshgrid(torch.arange(15.0), torch.arange(15.0), indexing="ij")
    bump = torch.exp(-((y - 6) ** 2 + (x - 8) ** 2) / 8)[None]
    large = enlarged(bump, (450, 450))
    assert float(large.max()) == pytest.approx(1, rel=0.01)
    assert float(large.sum()) / 30**2 == pytest.approx(float(bump.sum()), rel=0.01)
    assert (peaks(large)[0] / 30).floor().tolist() == [6, 8]


def test_enlarged_maps_have_no_kinks() -> None:
    """At the grid's lines the slope of a bilinear map jumps; that of a smooth one turns over a cell's fifty pixels."""
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    maps = torch.exp(-((y - 2) ** 2 + (x - 4) ** 2) / 4)[None]

    def bend(large: Tensor) -> float:
        return float(large[0].diff(dim=1).diff(dim=1).abs().max())

    assert bend(enlarged(maps, (350, 350))) < bend(upsampled(maps, (350, 350))) / 10


def test_what_is_drawn_reaches_from_0_to_1_unless_it_is_nearly_flat() -> None:
    maps = torch.rand(2, 7, 7)
    drawn = drawable(torch.cat([maps, 5 + maps[:1] * 0.2]), (90, 120))
    assert drawn[:2].amax((1, 2)).tolist() == pytest.approx([1, 1])
    assert float(drawn[2].max()) == pytest.approx(
        0.2 * (maps[0].max() - maps[0].min()) / (5 + 0.2 * maps[0].max()) / 0.1
    )
    assert float(drawn.min()) >= 0
    assert (drawable(torch.full((1, 4, 4), 0.7), (9, 9)) == 0).all()


def test_overlap_is_the_mass_in_common_as_far_as_the_coarser_grid_tells() -> None:
    left, right = torch.zeros(4, 8), torch.zeros(2, 4)
    left[:, :4] = 1
    right[:, 2:] = 5
    assert overlap(left, right) == 0
    assert overlap(left, left[::2, ::2] * 9) == pytest.approx(1)
    assert overlap(left, torch.ones(2, 4)) == pytest.approx(0.5)
    point = torch.zeros(8, 8)
    point[3, 5] = 1
    spot = torch.zeros(4, 4)
    spot[1, 2] = 1
    assert overlap(point, spot) == overlap(spot, point) == pytest.approx(1)
