"""Weights that must be fetched: one line where they cannot be."""

from collections.abc import Callable
from typing import TypeVar

from payattention.errors import CheckpointError, PayAttentionError
from payattention.system.reaching import not_waiting

T = TypeVar("T")


def fetched(called: str, make: Callable[[], T], otherwise: str) -> T:
    """What a function makes with weights that may have to be fetched.

    Args:
        called: The network.
        make: Makes it.
        otherwise: What to do where there is no network.

    Raises:
        CheckpointError: It cannot be made, whatever was raised: clients raise anything, from OSError to own families.
    """
    try:
        with not_waiting():
            return make()
    except PayAttentionError:
        raise
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"the pre-trained weights of {called} are not on this machine and cannot be fetched ({why}); connect to "
            f"the network once, or {otherwise}"
        ) from None
