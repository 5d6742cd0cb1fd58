"""How sure a mean over pictures is: its 95 % interval by the bootstrap (Efron, 1979).

The pictures are drawn anew, as many as there are and with replacement, and the mean is taken of each draw; the interval
holds the middle 95 % of these means (the percentile method). What is compared on the same pictures is compared by its
differences, picture by picture: how hard the pictures are then plays no part. Other pictures of the same kind are
meant, looked at by the same network; what another training would give the interval does not know.

Of a few pictures the bootstrap promises too much, so there is no interval below `LEAST`. Where all pictures score alike
the interval is a point.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

LEAST = 10
"""Pictures."""
RESAMPLES = 2000
_TAILS = (2.5, 97.5)  # per cent
_SEED = 0


class Interval(NamedTuple):
    """Where a mean lies, in the scores' own unit."""

    low: float
    high: float


def interval(scores: Float[Tensor, " n"]) -> Interval | None:
    """The 95 % interval of the mean of scores; NaN is left out, and of fewer than `LEAST` there is none."""
    known = scores[~scores.isnan()].double().cpu().numpy()
    if len(known) < LEAST:
        return None
    centre = known.mean()  # subtracted, since shares are in float32
    low, high = centre + np.percentile(_shares(len(known)) @ (known - centre).astype(np.float32), _TAILS)
    return Interval(float(low), float(high))


@lru_cache(2)
def _shares(count: int) -> NDArray[np.float32]:
    """For each draw, the share that each of `count` pictures has in it: (draws, count). The same for all rows."""
    random = np.random.default_rng(_SEED)
    drawn = random.integers(0, count, (RESAMPLES, count))
    places = drawn + count * np.arange(RESAMPLES)[:, None]
    times = np.bincount(places.ravel(), minlength=RESAMPLES * count)
    return (times.reshape(RESAMPLES, count) / count).astype(np.float32)
