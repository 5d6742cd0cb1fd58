"""Runs the README's quickstart as a user does and writes results/quickstart.json: `python benchmarks/quickstart.py`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from payattention.files import write_json

RESULT = Path(__file__).parent.parent / "results" / "quickstart.json"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "payattention", "quickstart", "--json", "--out", f"{folder}/quickstart"]
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - start
    summary = json.loads(done.stdout)
    del summary["run"], summary["sheet"]
    summary["pointing"]["provenance"]["command"] = "payattention quickstart"
    write_json(RESULT, {**summary, "seconds_of_the_whole_command": round(seconds, 1)})


if __name__ == "__main__":
    main()
