"""The page of the networks says what the registry says."""

import re
from pathlib import Path

import torch

import payattention as pa
from payattention.attention import COMBINATIONS, COMPATIBILITIES, NORMALISERS, PRIORS, PROJECTIONS
from payattention.models import entry
from payattention.models.heads import HEADS

DOCS = Path(__file__).parents[2] / "docs"


def row(name: str) -> str:
    with torch.device("meta"):
        model = pa.create_model(name, 10)
    parameters, dead = sum(p.numel() for p in model.parameters()), sum(model.dead_parameters().values())
    maps = ", ".join(model.levels) or "-"
    return f"| `{name}` | {parameters:,} | {f'{dead:,}' if dead else '-'} | {maps} | {entry(name).summary} |"


def test_the_table_of_networks_is_the_registry() -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    written = [line for line in text.splitlines() if re.match(r"\| `(vgg|resnet|saoyan|fast)", line)]
    right = [row(name) for name in pa.list_models()]
    assert written == right, "docs/models.md should hold:\n" + "\n".join(right)


def test_every_option_and_its_values_are_described() -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    options = {option for name in pa.list_models() for option in entry(name).options}
    described = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) - set(pa.list_models())
    assert described >= options
    for names in (COMBINATIONS, COMPATIBILITIES, NORMALISERS, PRIORS, PROJECTIONS, HEADS):
        assert all(f"`{name}`" in text for name in names)
