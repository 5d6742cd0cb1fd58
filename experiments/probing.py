"""Measures ways to read a frozen backbone's features, by one command for each set, for docs/attentive-probing.md.

Writes results/probing.json, a set at a time. It needs PAYATTENTION_DATA with `caltech101-30perclass.zip` and
`oxford-iiit-pet-3breeds.zip`, and the extra `imagenet`. A quarter of an hour on a quiet core.

Each row is trained on a training split, by the recipe `probe`, and measured once on the test split. The maps of all are
held against the masks of the pets: those trained on Caltech-101 have never seen such a picture.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from payattention.cli.options import LimitOption
from payattention.cli.program import run_script
from payattention.data.places import VARIABLE
from payattention.errors import PayAttentionError
from payattention.system.files import write_json
from trained import RESULTS, RUNS, ResultsOption, caltech101_and_pets

BACKBONE = "tf_efficientnet_lite0"
SETS = {"caltech101": ["--masks", "oxford_pets"], "oxford_pets": []}
"""By name, with where the masks are from that are not their own."""
AS_PUBLISHED = ["--set", "prior=none", "--set", "scaled=false"]
"""Attention starts nowhere, and the scores of one query are as the paper has them."""


def probed(name: str, root: Path, out: Path, limit: int | None) -> dict[str, Any]:
    """Runs the command as a user does; its result."""
    words = ["probe", BACKBONE, "--data", name, "--crop-mode", "squash", *SETS[name], *AS_PUBLISHED, "--threads", "1"]
    words += [] if limit is None else ["--limit", str(limit)]
    command = [sys.executable, "-m", "payattention", *words, "--out", str(out), "--json"]
    environment = {**os.environ, VARIABLE: str(root)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if done.returncode:
        raise PayAttentionError("payattention probe failed; its own message stands above")
    result: dict[str, Any] = json.loads(done.stdout)
    del result["out"]
    result["provenance"]["command"] = " ".join(["payattention", *words])
    return result


def measured(runs: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """The result so far, after each set."""
    found: dict[str, Any] = {}
    with caltech101_and_pets() as root:
        for name in SETS:
            out = runs / f"probing-{name}"
            shutil.rmtree(out, ignore_errors=True)
            found[name] = probed(name, root, out, limit)
            yield found


def main(
    limit: LimitOption = None,
    runs: Annotated[Path, typer.Option(help="Folder for the commands' own results.", show_default="runs")] = RUNS,
    results: ResultsOption = RESULTS,
) -> None:
    for result in measured(runs, limit):
        write_json(results / "probing.json", result)


if __name__ == "__main__":
    run_script(main)
