"""What every metric asks of maps."""

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.errors import PayAttentionError


def check_finite(maps: Float[Tensor, "n h w"]) -> None:
    """Raises PayAttentionError, with their number, if any maps hold NaN or infinity: they cannot be ranked."""
    broken = int((~torch.isfinite(maps)).flatten(1).any(1).sum())
    if broken:
        raise PayAttentionError(
            f"{broken} of {len(maps)} maps hold NaN or infinite values and cannot be measured; "
            "does the model give finite logits for these pictures?"
        )
