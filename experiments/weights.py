"""Gives a run's weights a place in the repository: `python experiments/weights.py RUN NAME`.

Writes weights/NAME.safetensors, in float16, and weights/NAME.json: how the run was trained, its test error, and that of
the weights as they lie there, loaded again and measured on the same pictures. The data is the run's own, found as it
was then or in PAYATTENTION_DATA.
"""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import torch

import payattention as pa
from payattention.evaluation import classify
from payattention.runs.folder import RESULT
from payattention.system.files import write_json

WEIGHTS = Path(__file__).parent.parent / "weights"


def main(run: str, name: str) -> None:
    trained = json.loads(Path(run, RESULT).read_text(encoding="utf-8"))
    if trained["data"]["measured_on"] != "test":
        raise SystemExit(f"{run} was measured on {trained['data']['measured_on']}: train it without --hold-out")
    model = pa.load(run)
    test = pa.load_data(trained["data"]["name"], "test", image_size=model.image_size, crop_mode=model.crop_mode)
    file = pa.save(model, WEIGHTS / f"{name}.safetensors", dtype=torch.float16)
    measured = asdict(classify(pa.load(file), test, trained["seed"]))
    measured["provenance"]["command"] = shlex.join(["python", "experiments/weights.py", run, name])
    facts = {key: trained[key] for key in ("model", "data", "recipe", "seed", "test", "provenance")}
    write_json(WEIGHTS / f"{name}.json", {"trained": facts, "in_float16": measured})


if __name__ == "__main__":
    main(*sys.argv[1:])
