"""Runs the README's quickstart as a user does and writes results/quickstart.json: `python experiments/quickstart.py`.

The trained model stays in `runs/quickstart` for the other measurements, and what was there before goes. With `--seeds`
it runs three seeds, on the processor as it is and masked to AVX2, and writes results/quickstart-seeds.json, too.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from payattention.system.files import write_json

ROOT = Path(__file__).parent.parent
RESULTS, RUNS = ROOT / "results", ROOT / "runs"
SEEDS = (0, 1, 2)
MASKED = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", action="store_true", help="three seeds, natively and masked to AVX2")
    if not parser.parse_args().seeds:
        write_json(RESULTS / "quickstart.json", _run(RUNS / "quickstart", seed=0))
        return
    processors = {name: _of_seeds(masks) for name, masks in (("native", {}), ("masked to AVX2", MASKED))}
    write_json(RESULTS / "quickstart.json", processors["native"]["runs"][0])
    write_json(RESULTS / "quickstart-seeds.json", {"processors": processors})


def _of_seeds(masks: dict[str, str]) -> dict[str, Any]:
    folders = [RUNS / ("quickstart" if seed == 0 and not masks else "quickstart-seeds") for seed in SEEDS]
    runs = [_run(folder, seed, masks) for folder, seed in zip(folders, SEEDS, strict=True)]
    return {
        "environment": masks,
        "device": runs[0]["pointing"]["provenance"]["device"],
        "mean_error": round(statistics.mean(run["error"] for run in runs), 3),
        "runs": runs,
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
        check=True,
    )
    seconds = time.perf_counter() - start
    summary: dict[str, Any] = json.loads(done.stdout)
    del summary["run"], summary["sheet"]
    summary["pointing"]["provenance"]["command"] = " ".join(words)
    return {**summary, "seconds_of_the_whole_command": round(seconds, 1)}


if __name__ == "__main__":
    main()
