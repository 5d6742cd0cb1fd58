"""How robust is a trained model? `python experiments/attack.py RUN DATA [--pgd] [--limit N]`.

Writes results/attack-NAME.json, NAME that of the run folder: fooling rate and error at the paper's five sizes under
noise and FGSM, on 2,000 test images by default. With `--pgd`, results/attack-NAME-pgd.json: under FGSM and PGD, which
costs far more, on 100 of them. The runs are `runs/quickstart` on cluttered_digits, of `make quickstart`, and
`runs/cifar10` on parquet:cifar10, trained by the command in results/cifar10.json; the one measured lies in weights/.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import payattention as pa
from payattention.data import limited
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import FGSM, PGD, Attack, Noise
from payattention.runs.folder import RESULT
from payattention.system.files import write_json

RESULTS = Path(__file__).parent.parent / "results"
SEED = 0


def main(run: str, data: str, pgd: bool, limit: int) -> None:
    attacks: dict[str, Attack] = {"fgsm": FGSM(), "pgd": PGD()} if pgd else {"noise": Noise(), "fgsm": FGSM()}
    measured = asdict(attack(pa.load(run), limited(pa.load_data(data, "test"), limit), attacks, seed=SEED))
    measured["provenance"]["command"] = f"python experiments/attack.py {' '.join(sys.argv[1:])}"
    trained = json.loads(Path(run, RESULT).read_text(encoding="utf-8"))
    facts = {"model": trained["model"], "trained_by": trained["provenance"]["command"]}
    write_json(RESULTS / f"attack-{Path(run).name}{'-pgd' if pgd else ''}.json", {**facts, **measured})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--pgd", action="store_true")
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    main(given.run, given.data, given.pgd, given.limit or (100 if given.pgd else 2000))
