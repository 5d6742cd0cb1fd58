"""Do a CIFAR-10 network's maps find cats and dogs? `python benchmarks/segment.py runs/cifar10 [--limit N]`.

Measures a trained network's maps against the masks of the Oxford pets, which it has never seen, at the size of its
training (the paper's 32 pixels) and at twice that; writes results/segment.json. Thresholds are chosen on 200 pictures
of the train split. It takes some minutes on two CPU cores.
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from payattention import load
from payattention.cli.output import progress_console
from payattention.data.masked import masked_pictures
from payattention.evaluation import segment
from payattention.experiment import RESULT
from payattention.files import write_json
from payattention.invocation import command_line

OUT = Path(__file__).parent.parent / "results" / "segment.json"
DATA, TUNE, FACTORS = "oxford_pets", 200, (1, 2)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path, help="run folder of a trained model")
    arguments.add_argument("--limit", type=int, help="at most so many pictures of the test split")
    given = arguments.parse_args()
    command_line.set(shlex.join(["python", "benchmarks/segment.py", *sys.argv[1:]]))

    model, trained = load(given.run), json.loads((given.run / RESULT).read_text(encoding="utf-8"))
    test, train = masked_pictures(DATA, "test"), masked_pictures(DATA, "train").limited(TUNE)
    if given.limit:
        test = test.limited(given.limit)
    sizes = [factor * model.image_size for factor in FACTORS]
    results = [asdict(segment(model, test, size=size, tune_on=train, console=progress_console())) for size in sizes]
    facts = {"model": trained["model"], "trained_on": trained["data"]["name"], "error": trained["test"]["error"]}
    write_json(OUT, {**facts, "sizes": results})


if __name__ == "__main__":
    main()
