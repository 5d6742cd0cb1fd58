"""The models that a page offers: those that were named, those that come with the package, and runs."""

from collections.abc import Sequence
from pathlib import Path

from payattention.weights.bundled import bundled, card, default
from payattention.weights.header import WEIGHTS
from payattention.weights.named import NamedModel, named


def choices(given: Sequence[NamedModel], runs: Path) -> dict[str, NamedModel]:
    """By what the page calls them, the first one first: that one is chosen at the start.

    Nothing that is typed into a page becomes a path or a name of a model: it can only choose among these.

    Args:
        given: Named by who started the page.
        runs: A folder whose folders are looked through for finished runs, the newest first.
    """
    with_package = sorted((name for name in bundled() if card(name).lacks is None), key=lambda name: name != default())
    found = sorted(runs.glob(f"*/{WEIGHTS}"), key=lambda file: -file.stat().st_mtime) if runs.is_dir() else []
    models = [*given, *(named(name) for name in with_package), *(named(str(file.parent)) for file in found)]
    return {model.text: model for model in models}
