"""Measures the README's quickstart as a user runs it, for README.md and docs/machine.md.

Writes results/quickstart.json. The trained model stays in `runs/quickstart` for the other measurements, and what was
there before goes. With --seeds it runs three seeds, on the processor as it is and masked to AVX2, and writes
results/quickstart-seeds.json, too.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.system.files import write_json
from trained import RESULTS, RUNS, ResultsOption

SEEDS = (0, 1, 2)
MASKED = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def _of_seeds(masks: dict[str, str], runs: Path) -> dict[str, Any]:
    folders = [runs / ("quickstart" if seed == 0 and not masks else "quickstart-seeds") for seed in SEEDS]
    done = [_run(folder, seed, masks) for folder, seed in zip(folders, SEEDS, strict=True)]
    return {
        "environment": masks,
        "device": done[0]["pointing"]["provenance"]["device"],
        "mean_error": round(statistics.mean(run["error"] for run in done), 3),
        "runs": done,
    }


def _run(folder: Path, seed: int, masks: dict[str, str] | None = None) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    words = ["payattention", "quickstart", "--json", "--seed", str(seed)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *words, "--out", str(folder)],
        env=os.environ | (masks or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise PayAttentionError(f"{' '.join(words)} failed; its own message stands above")
    summary: dict[str, Any] = json.loads(done.stdout)
    del summary["run"], summary["sheet"]
    summary["pointing"]["provenance"]["command"] = " ".join(words)
    return {**summary, "seconds_of_the_whole_command": round(seconds, 1)}


def main(
    seeds: Annotated[bool, typer.Option("--seeds", help="Three seeds, natively and masked to AVX2.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder for the trained models.", show_default="runs")] = RUNS,
    results: ResultsOption = RESULTS,
) -> None:
    if not seeds:
        write_json(results / "quickstart.json", _run(runs / "quickstart", seed=0))
        return
    processors = {name: _of_seeds(masks, runs) for name, masks in (("native", {}), ("masked to AVX2", MASKED))}
    write_json(results / "quickstart.json", processors["native"]["runs"][0])
    write_json(results / "quickstart-seeds.json", {"processors": processors})


if __name__ == "__main__":
    run_script(main)
