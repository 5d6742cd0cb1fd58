"""ImageNet's 1,000 classes under all of their names: WordNet's numbers, as its folders have them, and its synonyms.

They are read from timm's files, as text: importing timm would take seconds.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

COUNT, FIRST = 1000, "tench"


def are_imagenets(names: Sequence[str]) -> bool:
    """Whether these are the names of its classes, in its order."""
    return len(names) == COUNT and names[0] == FIRST


@cache
def other_names() -> dict[str, int]:
    """Each number ("n01440764") and each synonym that is one class's alone, by its place; none without timm."""
    spec = find_spec("timm")
    folders = [Path(folder, "data", "_info") for folder in (spec and spec.submodule_search_locations) or []]
    if not folders:
        return {}
    numbers = (folders[0] / "imagenet_synsets.txt").read_text("utf-8").split()
    lines = (folders[0] / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
    synonyms = dict(line.split("\t", 1) for line in lines)
    found = {number: place for place, number in enumerate(numbers)}
    named = [(name.strip(), place) for number, place in found.items() for name in synonyms[number].split(",")]
    times = Counter(name for name, _ in named)
    return found | {name: place for name, place in named if times[name] == 1}
