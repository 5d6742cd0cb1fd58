"""Max-sensitivity: how far can a map be pushed by a change of the picture that nobody sees? (Yeh et al., 2019)

    max over |delta| <= r of ||map(x + delta) - map(x)|| / ||map(x)||,

the largest of some draws, each pixel's change uniform in -r ... r and cut where it would leave 0 ... 1. Lower is
better; 0 for a map that stays, and about 1 for one that shares nothing with the old one. Masks play no part, pixels are
not ranked, and a map that was zero everywhere is measured as it comes, not against its size (captum does the same).

What it cannot tell: whether a map is right. All ones and the centred Gaussian, which look at nothing, have a perfect 0.
A few draws find no worst case: an attack on the map (Ghorbani et al., 2019) pushes it further. And a network whose
answer moves with the noise ought to have a map that does.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite

Explain = Callable[[Tensor], Mapping[str, Tensor]]
"""Images (n, channels, H, W) to maps by name, each (n, h, w); as all methods of `payattention.posthoc` give them."""


def max_sensitivity(
    explain: Explain,
    images: Float[Tensor, "n channels h w"],
    *,
    radius: float = 0.02,
    draws: int = 10,
    seed: int = 0,
) -> dict[str, Tensor]:
    """By name of its map, each picture's largest relative change (n,); draws + 1 calls of `explain`.

    Args:
        explain: Maps of images; of one class, whatever the noise makes of the answer: `partial(grad_cam, model,
            labels=labels)`.
        images: Values in [0, 1].
        radius: By how much each value changes at most: 0.02 is 5 of 255 steps.
        draws: Of the noise.
        seed: Of the noise, which is the same for all kinds of maps.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    random = torch.Generator().manual_seed(seed)
    before = {name: _checked(maps) for name, maps in explain(images).items()}
    furthest = {name: maps.new_zeros(len(maps)) for name, maps in before.items()}
    for _ in range(draws):
        noise = radius * (2 * torch.rand(images.shape, generator=random) - 1)
        for name, maps in explain((images + noise.to(images)).clamp(0, 1)).items():
            change = (_checked(maps) - before[name]).norm(dim=(1, 2))
            furthest[name] = torch.maximum(furthest[name], change)
    sizes = {name: maps.norm(dim=(1, 2)) for name, maps in before.items()}
    return {name: far / torch.where(sizes[name] > 0, sizes[name], 1.0) for name, far in furthest.items()}


def _checked(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    check_finite(maps)
    return maps.detach().float()
