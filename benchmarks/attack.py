"""How robust is a trained model? `python benchmarks/attack.py RUN DATA [pgd]`.

Writes results/attack-NAME.json, NAME that of the run folder: fooling rate and error at the paper's five sizes under
noise and FGSM on 2,000 test images. With `pgd`, results/attack-NAME-pgd.json: under FGSM and PGD, which costs far more,
on 100 of them. The runs are `runs/quickstart` on cluttered_digits, of `make quickstart`, and `runs/cifar10` on
parquet:cifar10, which was trained as results/cifar10.json says.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import payattention as pa
from payattention.attacks import FGSM, PGD, Attack, Noise
from payattention.data import limited
from payattention.evaluation.attack import attack
from payattention.experiment import RESULT
from payattention.files import write_json

RESULTS = Path(__file__).parent.parent / "results"
SEED = 0
PARTS: dict[str, tuple[int, dict[str, Attack]]] = {
    "": (2000, {"noise": Noise(), "fgsm": FGSM()}),
    "pgd": (100, {"fgsm": FGSM(), "pgd": PGD()}),
}


def main(run: str, data: str, part: str = "") -> None:
    count, attacks = PARTS[part]
    measured = asdict(attack(pa.load(run), limited(pa.load_data(data, "test"), count), attacks, seed=SEED))
    measured["provenance"]["command"] = f"python benchmarks/attack.py {run} {data} {part}".strip()
    trained = json.loads(Path(run, RESULT).read_text(encoding="utf-8"))
    facts = {"model": trained["model"], "trained_by": trained["provenance"]["command"]}
    write_json(RESULTS / f"attack-{'-'.join(filter(None, (Path(run).name, part)))}.json", {**facts, **measured})


if __name__ == "__main__":
    main(*sys.argv[1:])
