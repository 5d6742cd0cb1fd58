"""Runs the README's quickstart as a user does and writes results/quickstart.json: `python benchmarks/quickstart.py`.

The trained model stays in `runs/quickstart` for the other measurements, and what was there before goes.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from payattention.system.files import write_json

ROOT = Path(__file__).parent.parent
RESULT, RUN = ROOT / "results" / "quickstart.json", ROOT / "runs" / "quickstart"


def main() -> None:
    shutil.rmtree(RUN, ignore_errors=True)
    command = [sys.executable, "-m", "payattention", "quickstart", "--json", "--out", str(RUN)]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - start
    summary = json.loads(done.stdout)
    del summary["run"], summary["sheet"]
    summary["pointing"]["provenance"]["command"] = "payattention quickstart"
    write_json(RESULT, {**summary, "seconds_of_the_whole_command": round(seconds, 1)})


if __name__ == "__main__":
    main()
