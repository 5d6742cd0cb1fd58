"""Measures how robust a trained model is, for docs/attacks.md: fooling rate and error at the paper's five sizes.

Writes results/attack-NAME.json, NAME that of the run folder: under noise and FGSM, on 2,000 test images. With --pgd,
results/attack-NAME-pgd.json: under FGSM and PGD, which costs far more, on 100 of them.

The runs are `runs/quickstart` on cluttered_digits, of `make quickstart`, and `runs/cifar10` on parquet:cifar10, trained
by the command in results/cifar10.json; the one measured lies in weights/.
"""

from typing import Annotated

import typer

import payattention as pa
from payattention.cli.program import run_script
from payattention.data import limited
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import FGSM, PGD, Attack, Noise
from payattention.system.files import write_json
from trained import RESULTS, ResultsOption, RunFolder, training_of

SEED = 0


def main(
    run: RunFolder,
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set that it was trained on.")],
    pgd: Annotated[bool, typer.Option("--pgd", help="FGSM and PGD, in place of noise and FGSM.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Test images at most.", show_default="2,000; 100 with --pgd")
    ] = None,
    results: ResultsOption = RESULTS,
) -> None:
    trained = training_of(run)
    attacks: dict[str, Attack] = {"fgsm": FGSM(), "pgd": PGD()} if pgd else {"noise": Noise(), "fgsm": FGSM()}
    images = limited(pa.load_data(data, "test"), limit or (100 if pgd else 2000))
    measured = attack(pa.load(run), images, attacks, seed=SEED).as_json()
    facts = {"model": trained["model"], "trained_by": trained["provenance"]["command"]}
    write_json(results / f"attack-{run.name}{'-pgd' if pgd else ''}.json", {**facts, **measured})


if __name__ == "__main__":
    run_script(main)
