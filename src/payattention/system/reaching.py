"""The Hugging Face Hub's client without its waiting: where no one answers, it asks again and again for a minute."""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import SOCK_STREAM, getaddrinfo, socket
from time import monotonic
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_PATIENCE = 6.0  # seconds in which someone must have answered


@contextmanager
def not_waiting() -> Iterator[None]:
    """Meanwhile the client asks its cache alone, unless the Hub's host takes a connection now."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not (_proxied(constants.ENDPOINT) or answers(constants.ENDPOINT))
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _proxied(address: str) -> bool:
    """Whether another host is asked in place of an address's own, which only the client can tell whether it answers."""
    place = urlsplit(address)
    return bool({place.scheme, "all"} & getproxies().keys()) and not proxy_bypass(place.netloc)


def answers(address: str) -> bool:
    """Whether a connection to the host of an address can be made."""
    place, until = urlsplit(address), monotonic() + _PATIENCE
    port = place.port or {"http": 80}.get(place.scheme, 443)
    try:
        found = getaddrinfo(place.hostname, port, type=SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, end in found:
        with socket(family, kind, protocol) as connection:
            connection.settimeout(max(0.1, (until - monotonic()) / 2))
            try:
                connection.connect(end)
            except OSError:
                continue
            return True
    return False
