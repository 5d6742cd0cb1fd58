"""Freed memory is kept, where the allocator can be told and nobody told it otherwise."""

import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from payattention.system.memory import keep_freed

FAULTS = """
import resource
from payattention.system.memory import keep_freed
import numpy as np
kept = {asked} and keep_freed()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(4 * 2**20)  # 32 MiB, as a layer's output
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only GNU's allocator is told")


def told(asked: bool) -> list[str]:
    run = subprocess.run([sys.executable, "-c", FAULTS.format(asked=asked)], capture_output=True, text=True, check=True)
    return run.stdout.split()


@glibc
def test_the_system_need_not_clear_the_same_pages_again() -> None:
    (_, anew), (kept, again) = told(asked=False), told(asked=True)
    assert kept == "True"
    assert int(again) < int(anew) / 10


@pytest.mark.parametrize("chosen", [{"LD_PRELOAD": "libjemalloc.so"}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_what_was_chosen_by_the_environment_stands(chosen: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert not keep_freed()
