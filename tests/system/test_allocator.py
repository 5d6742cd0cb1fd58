"""Freed memory is kept, where the allocator can be told and nobody told it otherwise."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from payattention.system.allocator import CHOSEN, keep_freed

FAULTS = """
import atexit, resource, sys
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(4 * 2**20)  # 32 MiB, as a layer's output
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def told():
    faults()
    print(faults(), file=sys.stderr)

atexit.register(told)
"""
"""Pages that the system had to clear for arrays which were made and dropped, when the process is done."""

BY_FUNCTION = "from payattention.system.allocator import keep_freed\nassert keep_freed()"
BY_COMMAND = "from payattention.cli.app import main\nsys.argv = ['payattention', 'models']\nmain()"

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only GNU's allocator is told")


def faults_after(work: str) -> int:
    clean = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    run = subprocess.run([sys.executable, "-c", FAULTS + work], env=clean, capture_output=True, text=True, check=True)
    return int(run.stderr.split()[-1])


@glibc
def test_the_system_need_not_clear_the_same_pages_again() -> None:
    anew = faults_after("")
    assert faults_after(BY_FUNCTION) < anew / 10
    assert faults_after(BY_COMMAND) < anew / 10


@pytest.mark.parametrize("chosen", [{"LD_PRELOAD": "libjemalloc.so"}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_what_was_chosen_by_the_environment_stands(chosen: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert not keep_freed()
