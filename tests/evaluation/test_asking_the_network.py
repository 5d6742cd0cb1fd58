"""The metrics that ask the network: ROAD against its authors' imputation, the others against captum and plain loops."""

import pytest
import torch
from torch.nn.functional import interpolate

from payattention.errors import PayAttentionError, UsageError
from payattention.evaluation.metrics import (
    Removals,
    faithfulness_correlation,
    infidelity,
    max_sensitivity,
    random_pixels,
    random_squares,
    removals,
    road,
)
from payattention.evaluation.metrics.imputation import imputed
from payattention.evaluation.metrics.perturbation import ranks


def brightness(images: torch.Tensor) -> torch.Tensor:
    """A classifier whose second class is as likely as the picture's upper left quarter is bright."""
    p = images[:, :, : images.shape[2] // 2, : images.shape[3] // 2].mean((1, 2, 3))
    return torch.stack([1 - p, p], dim=1)


def bright_quarter(n: int = 2, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark pictures with a bright upper left quarter, and its mask."""
    mask = torch.zeros(n, side, side)
    mask[:, : side // 2, : side // 2] = 1
    return (0.1 + 0.8 * mask[:, None]).expand(-1, 3, -1, -1).contiguous(), mask


def blobs(n: int, height: int, width: int) -> torch.Tensor:
    return interpolate(torch.rand(n, 1, 4, 4), (height, width), mode="bicubic")[:, 0]


@pytest.mark.filterwarnings("ignore:__array_wrap__")  # theirs
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_is_the_authors(share: float) -> None:
    """As pytorch-grad-cam brings it along, noise aside."""
    theirs = pytest.importorskip("pytorch_grad_cam.metrics.road").NoisyLinearImputer(noise=0.0)
    images = torch.rand(2, 3, 14, 19)
    missing = ranks(blobs(2, 14, 19)) < share * 14 * 19
    for ours, image, gap in zip(imputed(images, missing), images, missing, strict=True):
        torch.testing.assert_close(ours, theirs(image, (~gap).float()), atol=1e-5, rtol=0)


def test_imputation_by_hand() -> None:
    """A corner has three neighbours, (a + b) / 6 + c / 12; what is not missing stays."""
    image = torch.rand(1, 1, 3, 4)
    missing = torch.zeros(1, 3, 4, dtype=torch.bool)
    assert torch.equal(imputed(image, missing), image)
    missing[0, 0, 0] = True
    filled = imputed(image, missing)
    a, b, c = image[0, 0, 0, 1], image[0, 0, 1, 0], image[0, 0, 1, 1]
    assert filled[0, 0, 0, 0].item() == pytest.approx(((2 * a + 2 * b + c) / 5).item(), abs=1e-6)
    assert torch.equal(filled.flatten()[1:], image.flatten()[1:])


@pytest.mark.filterwarnings("ignore:__array_wrap__")
def test_road_is_pytorch_grad_cams() -> None:
    """The mean over shares of what is left of the probability; all values differ, and the noise is left out."""
    metrics = pytest.importorskip("pytorch_grad_cam.metrics.road")
    images, maps, labels = 0.2 + 0.6 * torch.rand(3, 3, 12, 10), blobs(3, 12, 10), torch.tensor([1, 0, 1])
    found = road(brightness, images, labels, maps, shares=(0.1, 0.5, 0.9), noise=0.0)
    fill = metrics.NoisyLinearImputer(noise=0.0)
    for kind, ours in ((1, found.most_first), (-1, found.least_first)):
        left = []
        for kept in (0.9, 0.5, 0.1):
            keep = [(kind * heat) < torch.quantile(kind * heat, kept) for heat in maps]
            filled = torch.stack([fill(image, k.float()) for image, k in zip(images, keep, strict=True)])
            left.append(brightness(filled).gather(1, labels[:, None])[:, 0])
        torch.testing.assert_close(ours, torch.stack(left).mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.score, (found.least_first - found.most_first) / 2)


def test_road_tells_a_good_map_from_its_opposite_and_repeats() -> None:
    images, mask = bright_quarter()
    labels = torch.tensor([1, 1])
    good, bad = (road(brightness, images, labels, maps, noise=0.01).score for maps in (mask, 1 - mask))
    assert (good > 0.05).all()
    assert (bad < -0.05).all()
    assert torch.equal(good, road(brightness, images, labels, mask).score)
    constant = road(brightness, images, labels, torch.ones_like(mask), noise=0.0)
    assert constant.score.abs().max() < good.min()


def test_parts_of_a_picture() -> None:
    squares = random_squares(16, 24, count=40)
    for part in squares:
        rows, columns = part.any(1), part.any(0)
        assert 2 <= rows.sum() == columns.sum() <= 8
        assert part.sum() == rows.sum() * columns.sum()
    assert squares.float().mean(0)[4:12, 6:18].min() > 0  # they lie everywhere but in a corner or two
    pixels = random_pixels(16, 24, count=5, share=0.25)
    assert pixels.sum((1, 2)).tolist() == [96] * 5
    assert torch.equal(pixels, random_pixels(16, 24, count=5, share=0.25))
    assert not torch.equal(pixels, random_pixels(16, 24, count=5, share=0.25, seed=1))


def test_what_is_lost_by_hand() -> None:
    images, _ = bright_quarter(n=1, side=4)
    parts = torch.zeros(2, 4, 4, dtype=torch.bool)
    parts[0, 0, 0] = parts[1, 3, 3] = True  # one of the four bright pixels that count, and one that does not
    lost = removals(brightness, images, torch.tensor([1]), parts, "black").lost
    torch.testing.assert_close(lost, torch.tensor([[0.9 / 4, 0.0]]))
    with pytest.raises(UsageError, match="did you mean 'black'"):
        removals(brightness, images, torch.tensor([1]), parts, "blakc")


def test_a_map_that_knows_the_losses_is_faithful() -> None:
    """The mean colour is no darker than black, so the quarter's pixels lose alike and the others nothing."""
    images, mask = bright_quarter()
    removed = removals(brightness, images, torch.tensor([1, 1]), random_squares(12, 12))
    assert infidelity(1000 * mask, removed).max() < 1e-12
    pixels = removals(brightness, images, torch.tensor([1, 1]), random_pixels(12, 12))
    assert faithfulness_correlation(0.001 * mask, pixels).tolist() == pytest.approx([1, 1])
    assert faithfulness_correlation(1 - mask, pixels).tolist() == pytest.approx([-1, -1])


def test_infidelity_is_captums() -> None:
    """With the best scale of each map and global attributions; a map is read by the order in which captum perturbs."""
    captum = pytest.importorskip("captum.metrics")
    images, labels, maps = torch.rand(3, 1, 8, 8), torch.tensor([1, 0, 1]), torch.rand(3, 8, 8)
    parts = random_squares(8, 8, count=20)
    removed = removals(brightness, images, labels, parts, "black")
    turn = iter(parts.float())

    def black(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        part = next(turn).expand(len(inputs), 1, -1, -1)
        return part, inputs * (1 - part)

    theirs = captum.infidelity(
        brightness,
        black,
        images,
        maps[:, None],
        target=labels,
        n_perturb_samples=20,
        max_examples_per_batch=3,
        normalize=True,
    )
    scaled = (maps.flatten(1) @ parts.flatten(1).float().T * removed.lost).sum(1) > 0
    assert scaled.any()
    torch.testing.assert_close(infidelity(maps, removed)[scaled], theirs[scaled], atol=1e-6, rtol=1e-4)


def test_a_map_turned_round_explains_nothing() -> None:
    lost = torch.tensor([[0.5, -0.1]])
    removed = Removals(torch.eye(4, dtype=torch.bool)[:2].view(2, 2, 2), lost)
    wrong = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    assert infidelity(wrong, removed).item() == pytest.approx((0.25 + 0.01) / 2)
    assert infidelity(torch.zeros(1, 2, 2), removed).item() == pytest.approx((0.25 + 0.01) / 2)


def test_faithfulness_correlation_is_numpys() -> None:
    maps, lost = torch.rand(4, 6, 7), torch.rand(4, 30)
    removed = Removals(random_pixels(6, 7, count=30), lost)
    mass = torch.stack([torch.stack([heat[part].sum() for part in removed.parts]) for heat in maps])
    expected = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in zip(mass, lost, strict=True)]
    assert faithfulness_correlation(maps, removed).tolist() == pytest.approx(expected, abs=1e-6)


def test_faithfulness_where_there_is_nothing_to_tell() -> None:
    removed = Removals(random_pixels(6, 7, count=30), torch.stack([torch.rand(30), torch.zeros(30)]))
    scores = faithfulness_correlation(torch.full((2, 6, 7), 0.3), removed)
    assert scores[0] == 0  # a constant map expects nothing
    assert scores[1].isnan()  # nothing happened


def test_max_sensitivity_is_captums() -> None:
    """Of a map that follows the picture, by the same noise; captum looks at all draws of a picture at once."""
    captum = pytest.importorskip("captum.metrics")
    images = 0.5 + 0.3 * torch.rand(2, 1, 6, 6)
    random = torch.Generator().manual_seed(0)
    noise = torch.stack([0.02 * (2 * torch.rand(images.shape, generator=random) - 1) for _ in range(4)], dim=1)
    theirs = captum.sensitivity_max(
        lambda x: (x[0] ** 2,), images, lambda x: (x + noise.flatten(0, 1),), n_perturb_samples=4
    )
    ours = max_sensitivity(lambda x: {"squares": (x**2)[:, 0]}, images, draws=4)["squares"]
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_max_sensitivity_by_hand() -> None:
    """A map that stays, one that is zero but for the noise, and pictures that stay between 0 and 1."""
    images = torch.zeros(2, 1, 3, 3)

    def explain(x: torch.Tensor) -> dict[str, torch.Tensor]:
        assert x.min() >= 0
        return {"ones": torch.ones(len(x), 3, 3), "picture": x[:, 0]}

    found = max_sensitivity(explain, images, radius=0.5, draws=50)
    assert found["ones"].tolist() == [0, 0]
    assert (found["picture"] > 0.5).all()
    assert (found["picture"] <= 0.5 * 3).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_that_are_not_finite_are_counted(value: float) -> None:
    images, _ = bright_quarter(n=2, side=4)
    maps, labels = torch.rand(2, 4, 4), torch.tensor([0, 1])
    maps[1, 0, 0] = value
    removed = removals(brightness, images, labels, random_pixels(4, 4, count=3))
    for measure in (
        lambda: road(brightness, images, labels, maps),
        lambda: infidelity(maps, removed),
        lambda: faithfulness_correlation(maps, removed),
        lambda: max_sensitivity(lambda _: {"broken": maps}, images),
    ):
        with pytest.raises(PayAttentionError, match="1 of 2 maps hold NaN or infinite values"):
            measure()
