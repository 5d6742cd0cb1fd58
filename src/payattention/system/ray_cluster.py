"""Ray: on this machine, or a cluster's that runs already. Nothing of it is imported before it is asked for."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from payattention.errors import PayAttentionError
from payattention.system.extras import check_there
from payattention.system.text import first_line

_ADDRESS = "RAY_ADDRESS"
_TRIES = 3  # to begin here: on a busy machine Ray's own 30 seconds are soon over
_STORE = 100 << 20  # bytes of Ray's object store: what goes through it here are names and counts


@contextmanager
def ray_cluster(address: str | None, cores: int) -> Iterator[Mapping[str, float]]:
    """Ray while the context lasts, and what it has in all: "CPU", "GPU".

    One that this process has started already is taken, and left as it is.

    Args:
        address: Of a cluster that runs; None for RAY_ADDRESS, and without it for this machine alone.
        cores: Of this machine, where it is alone.

    Raises:
        UsageError: The package is missing.
        PayAttentionError: There is no cluster at that address, or none begins here.
    """
    check_there("--engine ray", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns
    import ray

    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    _begin(address or os.environ.get(_ADDRESS) or "local", cores)
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def _begin(place: str, cores: int) -> None:
    import ray

    here: dict[str, Any] = {}
    if place == "local":
        here = {"num_cpus": cores, "object_store_memory": _STORE, "include_dashboard": False}
    for left in reversed(range(_TRIES if place == "local" else 1)):
        try:
            ray.init(place, log_to_driver=False, logging_level=logging.ERROR, **here)
        except Exception as error:  # which ones they are, Ray says nowhere
            ray.shutdown()
            if not left:
                where = "Ray does not start here" if place == "local" else f"--address {place}: no Ray there"
                raise PayAttentionError(f"{where} ({first_line(error)})") from None
        else:
            return
