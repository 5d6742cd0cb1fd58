"""Faithfulness: does a map's mass on some pixels say what their loss costs the class?

Parts of a picture turn into its mean colour, and the probability of one class is followed (`removals`: forward passes
that do not depend on any map, so that they are made once for all). Then a map is asked what it expected: its mass on
what went.

- Infidelity (Yeh et al., 2019): the mean of (beta m - lost)^2, m the map's mass on a part and `lost` what the class
  lost with it. Lower is better; 0 ... 1, and 0 for a map that knows all losses. Their attributions are in the units of
  the logit; a map has none, so beta is what suits it best, as they advise: beta = mean(m lost) / mean(m^2), but at
  least 0, since a map that is right turned round is wrong. Their noise is the change of each pixel's value, which suits
  a gradient; here a pixel is there or gone, which suits a map of pixels' shares (captum: `multiply_by_inputs=False`).
  Parts are squares, as in their section 5.
- Faithfulness correlation (Bhatt et al., 2020): Pearson's correlation of m and `lost`. Higher is better; -1 ... 1.
  Parts are random pixels, of which each takes its share. A map that puts the same mass on all parts expects nothing: 0.
  Where nothing that went changed the probability there is nothing to tell: NaN.

Masks play no part, and a picture with several objects or none counts like any other. Ties need no rule: no pixel comes
before another.

What they cannot tell: where the object is. A picture that the network answers the same whatever goes has an infidelity
near 0 with any map, so hold maps against each other on the same pictures, never a number against another network's.
Random pixels make a noise that the network has never seen, and may count more by that than by what they show. A sum
of pixels cannot say that two of them matter only together.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite
from payattention.evaluation.metrics.perturbation import Classify
from payattention.posthoc.baselines import baseline_of

PARTS = 64
"""Of a picture, that go one after the other."""
_ROUNDING = 1e-9


class Removals(NamedTuple):
    """What some pictures lost with some of their pixels.

    Attributes:
        parts: bool (k, h, w), the pixels that went, the same for all pictures.
        lost: (n, k), by how much the probability of each picture's class fell.
    """

    parts: Tensor
    lost: Tensor


@torch.no_grad()
def removals(
    classify: Classify,
    images: Float[Tensor, "n channels h w"],
    labels: Int[Tensor, " n"],
    parts: Bool[Tensor, "k h w"],
    baseline: str = "mean",
) -> Removals:
    """What each picture loses without each part; k + 1 forward passes.

    Args:
        classify: Gives probabilities.
        images: Values in [0, 1].
        labels: The class that is followed.
        parts: The pixels that go: `random_squares` for infidelity, `random_pixels` for the correlation.
        baseline: What stands there afterwards: "mean" (the picture's mean colour), "black" or "blur".

    Raises:
        UsageError: An unknown baseline.
    """
    covers = baseline_of(images, baseline)
    whole = classify(images).gather(1, labels[:, None])  # (n, 1)
    left = [classify(torch.where(part, covers, images)).gather(1, labels[:, None]) for part in parts.to(images.device)]
    return Removals(parts, whole - torch.cat(left, dim=1))


def random_squares(height: int, width: int, count: int = PARTS, seed: int = 0) -> Bool[Tensor, "k h w"]:
    """Squares anywhere in a picture, each side as likely as the next from an eighth to a half of the shorter side."""
    random = torch.Generator().manual_seed(seed)
    shorter = min(height, width)
    sides = torch.randint(max(1, shorter // 8), max(1, shorter // 2) + 1, (count,), generator=random)
    tops, lefts = ((torch.rand(count, generator=random) * (reach - sides + 1)).long() for reach in (height, width))
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= tops[:, None]) & (rows < (tops + sides)[:, None])  # (k, h)
    across = (columns >= lefts[:, None]) & (columns < (lefts + sides)[:, None])  # (k, w)
    return down[:, :, None] & across[:, None, :]


def random_pixels(
    height: int, width: int, count: int = PARTS, share: float = 0.2, seed: int = 0
) -> Bool[Tensor, "k h w"]:
    """So large a share of a picture's pixels, drawn anew for each part."""
    random = torch.Generator().manual_seed(seed)
    places = torch.rand(count, height * width, generator=random).argsort(dim=1)
    return (places < max(1, round(share * height * width))).view(count, height, width)


def infidelity(maps: Float[Tensor, "n h w"], removed: Removals) -> Float[Tensor, " n"]:
    """How far each map is from what the class lost: the mean square, at the map's best scale.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    mass, lost = _masses(maps, removed.parts), removed.lost.cpu().double()
    squares = (mass**2).sum(1)  # 0 for a map of zeros, which expects no loss at any scale
    scale = ((mass * lost).sum(1) / torch.where(squares > 0, squares, 1.0)).clamp_min(0)
    return ((scale[:, None] * mass - lost) ** 2).mean(1).to(maps)


def faithfulness_correlation(maps: Float[Tensor, "n h w"], removed: Removals) -> Float[Tensor, " n"]:
    """Pearson's correlation of each map's mass on the parts with what the class lost.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    mass, lost = _masses(maps, removed.parts), removed.lost.cpu().double()
    expected, happened = (values - values.mean(1, keepdim=True) for values in (mass, lost))
    size, told = expected.norm(dim=1), happened.norm(dim=1)
    correlation = (expected * happened).sum(1) / (size * told)
    same = size <= _ROUNDING * mass.norm(dim=1)
    correlation = torch.where(same, 0.0, correlation)
    return torch.where(told == 0, torch.nan, correlation).to(maps)


def _masses(maps: Float[Tensor, "n h w"], parts: Bool[Tensor, "k h w"]) -> Float[Tensor, "n k"]:
    """Each map's mass on each part, in units of the map's greatest value; float64, which not every device has."""
    check_finite(maps)
    flat = maps.flatten(1).cpu().double()
    largest = flat.abs().amax(1, keepdim=True)
    return (flat / torch.where(largest > 0, largest, 1.0)) @ parts.flatten(1).to(flat).T
