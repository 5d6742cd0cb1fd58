"""Weights that must be fetched: one line where they cannot be, and no waiting for a network that is not there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import getaddrinfo
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from payattention.errors import CheckpointError, PayAttentionError

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
        with _no_waiting():
            return make()
    except PayAttentionError:
        raise
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"the pre-trained weights of {called} are not on this machine and cannot be fetched ({why}); connect to "
            f"the network once, or {otherwise}"
        ) from None


@contextmanager
def _no_waiting() -> Iterator[None]:
    """The Hub's client asks again and again for a minute; where its host has no address, it asks its cache alone."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    host = urlsplit(constants.ENDPOINT).hostname
    try:
        if not getproxies():
            getaddrinfo(host, None)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
