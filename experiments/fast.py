"""Trains the fast networks, with attention and without, for docs/models.md: what an hour of a laptop gives.

Writes results/fast.json, after each training. It needs PAYATTENTION_DATA with `cifar10` and `cifar100` as parquet
files. Trainings lie in runs/fast/NAME-seedN while they run: one that was stopped goes on, and one that stands in the
results is not done again. The test split is looked at by the weights of the last epoch, one view a picture.

What attention is worth is told picture by picture: the share of test pictures that the network with attention has right
and its control has wrong, less those the other way round, with the bootstrap's 95 % interval over pictures. Another
seed moves errors, too; where there are several, their spread stands beside it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

import payattention as pa
from payattention.cli.options import names_in
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.evaluation import classify
from payattention.evaluation.comparison.intervals import interval
from payattention.system.files import write_json
from payattention.system.names import Registry
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent
from payattention.weights.header import RESULT
from trained import RESULTS, ROOT, RUNS, ResultsOption, training_of


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        model: With attention, or without.
        data: The set.
        without: The plan of its control, which differs in nothing but attention.
        epochs: In place of the recipe's.
    """

    model: str
    data: str
    without: str | None = None
    epochs: int | None = None

    def words(self, seed: int, run: Path) -> list[str]:
        """What follows `payattention`; a run that was stopped is gone on with."""
        if run.exists():
            return ["train", "--resume", str(run)]
        long = [] if self.epochs is None else ["--epochs", str(self.epochs)]
        named = ["--model", self.model, "--data", self.data, "--recipe", "fast", "--seed", str(seed)]
        return ["train", *named, *long, "--out", str(run)]


ATTENTION, CONTROL = "fast_att2_concat_pc", "fast"
PLANS: Registry[Plan] = Registry(
    "training",
    {
        "cifar10": Plan(ATTENTION, "parquet:cifar10", without="cifar10-without"),
        "cifar10-without": Plan(CONTROL, "parquet:cifar10"),
        "cifar100": Plan(ATTENTION, "parquet:cifar100", without="cifar100-without"),
        "cifar100-without": Plan(CONTROL, "parquet:cifar100"),
        "cifar10-long": Plan(ATTENTION, "parquet:cifar10", epochs=48),
        "cifar100-long": Plan(ATTENTION, "parquet:cifar100", epochs=48),
    },
)


def trained(plan: Plan, seed: int, run: Path) -> dict[str, Any]:
    """What a run says of itself, and which pictures of the test split it has wrong."""
    if not (run / RESULT).is_file():
        words = ["payattention", *plan.words(seed, run.relative_to(ROOT))]
        if subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=False).returncode:
            raise PayAttentionError(f"{' '.join(words)} failed; its own message stands above")
    found = classify(pa.load(run), pa.load_data(plan.data, "test"))
    wrong = [number for number, one in enumerate(found.predictions) if one.label != one.true]
    return {"training": training_of(run), "wrong": wrong}


def worth(with_: Mapping[str, Any], without: Mapping[str, Any]) -> dict[str, Any]:
    """By how many per cent of the pictures attention's error is lower than its control's, on one seed."""
    count = with_["training"]["test"]["count"]
    right = [~np.isin(np.arange(count), own["wrong"]) for own in (with_, without)]
    differences = torch.from_numpy(right[0].astype(float) - right[1])
    sure = interval(differences)
    return {
        "lower_by": per_cent(float(differences.mean()), 2),
        "interval": None if sure is None else [per_cent(sure.low, 2), per_cent(sure.high, 2)],
    }


def differences(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By plan and seed, where both are there."""
    return {
        name: {seed: worth(own, runs[plan.without][seed]) for seed, own in runs[name].items() if seed in others}
        for name, plan in PLANS.items()
        if plan.without is not None and name in runs and (others := runs.get(plan.without, {}))
    }


def chosen(names: str | None, seeds: str) -> Iterator[tuple[str, int]]:
    """Seed by seed, so that a control comes after its network."""
    for seed in map(int, seeds.split(",")):
        for name in names_in(names) or tuple(PLANS):
            _ = PLANS[name]  # an unknown one is refused before anything is trained
            yield name, seed


def main(
    names: Annotated[str | None, typer.Option("--only", metavar="|".join(PLANS), help="Only these.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, with commas.")] = "0",
    results: ResultsOption = RESULTS,
) -> None:
    watch, file = Stopwatch(), results / "fast.json"
    runs: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8"))["runs"] if file.is_file() else {}
    for name, seed in chosen(names, seeds):
        if str(seed) in runs.get(name, {}):
            continue
        own = trained(PLANS[name], seed, RUNS / "fast" / f"{name}-seed{seed}")
        runs.setdefault(name, {})[str(seed)] = own
        provenance = asdict(watch.provenance(torch.device("cpu"), seed))
        write_json(file, {"runs": runs, "attention": differences(runs), "provenance": provenance})
        print(f"{name}, seed {seed}: {own['training']['test']['error']} %")


if __name__ == "__main__":
    run_script(main)
