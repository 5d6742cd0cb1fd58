"""Programs that tests start: Python on this tree's package, one thread each, alone or as two processes of one training.

Their packages are imported as the command imports them, which saves most of such a test's time; so does telling two
processes of each other as torchrun does, without it: its launcher is a third process that imports PyTorch.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    port = free_port()
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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def torchrun(words: Sequence[str], nodes: int) -> list[CompletedProcess[str]]:
    """What became of a module's two processes, started by torchrun on one node, or by one torchrun on each of two."""
    run = [sys.executable, "-m", "torch.distributed.run"]
    if nodes == 1:
        return [_answer(_started([*run, "--standalone", "--nproc-per-node", "2", "-m", *words]))]
    with two_nodes() as found:
        first = found[0][1]
        meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "test"]
        meeting += ["--rdzv-endpoint", f"{first}:{free_port()}"]
        started = [
            _started(
                [*inside, *run, *meeting, f"--rdzv-conf=is_host={1 - k}", "--local-addr", address, "-m", *words],
                {"GLOO_SOCKET_IFNAME": interface},
            )
            for k, (inside, address, interface) in enumerate(found)
        ]
        return [_answer(each) for each in started]


@contextmanager
def two_nodes() -> Iterator[list[tuple[list[str], str, str]]]:
    """What starts a program on each of two nodes, their addresses, and the interfaces by which they see each other.

    Where we may make them, two network namespaces, joined by a cable: neither reaches the other's loopback. Else this
    machine under two of its own addresses.
    """
    names = [f"pay{os.getpid()}{end}" for end in "ab"]
    addresses = ["10.213.7.1", "10.213.7.2"]
    try:
        made = _join(names, addresses)
        if made:
            yield [
                (["ip", "netns", "exec", name], address, name) for name, address in zip(names, addresses, strict=True)
            ]
        else:
            yield [([], "127.0.0.1", "lo"), ([], "127.0.0.2", "lo")]
    finally:
        for name in names:
            _ip(f"netns delete {name}")


def _join(names: Sequence[str], addresses: Sequence[str]) -> bool:
    """Whether two namespaces could be made, each with one end of a cable of its own name and an address."""
    one, other = names
    steps = [f"netns add {one}", f"netns add {other}"]
    steps += [f"link add {one} netns {one} type veth peer name {other} netns {other}"]
    for name, address in zip(names, addresses, strict=True):
        steps += [f"-n {name} link set lo up", f"-n {name} addr add {address}/24 dev {name}"]
        steps += [f"-n {name} link set {name} up"]
    return all(_ip(step) for step in steps)


def _ip(words: str) -> bool:
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    return subprocess.run(["ip", *words.split()], capture_output=True, check=False).returncode == 0


def _started(words: Sequence[str], variables: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | (variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _answer(process: "subprocess.Popen[str]") -> CompletedProcess[str]:
    out, err = process.communicate(timeout=600)
    return CompletedProcess(process.args, process.returncode, out, err)
