"""Programs that tests start: Python on this tree's package, one thread each, alone or as two processes of one training.

Their packages are imported as the command imports them, which saves most of such a test's time; so does telling two
processes of each other as torchrun does, without it: its launcher is a third process that imports PyTorch.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

ROOT = Path(__file__).parents[1]
_LEAN = "from payattention.system.lean_imports import lean_imports; lean_imports()\n"


def environment() -> dict[str, str]:
    """Of a program that finds this tree's package, and the tests' modules for training."""
    return os.environ | {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests' / 'training'}",
        "OMP_NUM_THREADS": "1",
    }


def run_in_two_processes(script: str, arguments: Sequence[object], folder: Path) -> list[CompletedProcess[str]]:
    """What became of a script's two processes, the first one first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    both |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _LEAN + script, *map(str, arguments)],
            env=environment() | both | {"RANK": rank, "LOCAL_RANK": rank},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    answers = [each.communicate(timeout=600) for each in started]
    return [CompletedProcess(each.args, each.returncode, *said) for each, said in zip(started, answers, strict=True)]
