"""A table as a picture: a panel for a column, a line for a cell, with published, peers' and our numbers.

The same numbers give the same bytes: the file holds no date and no version, but a digest of what was drawn.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payattention.system.files import replacing

DIGEST = "Description"
"""The text field of the picture that holds the digest."""
_LINE = 0.24  # inches
_STYLES = {  # marker, colour, filled; the colours are viridis'
    "published": ("o", "#440154", True),
    "peers": ("D", "#31688e", False),
    "ours": ("s", "#35b779", True),
    "ours, with departures": ("s", "#35b779", False),
}


@dataclass(frozen=True)
class Dot:
    """One number: whose it is (a key of the legend), its value, and its deviation where there is one."""

    kind: str
    value: float
    deviation: float | None = None


Lines = Mapping[str, Sequence[Dot]]


def draw(file: Path, title: str, unit: str, panels: Mapping[str, Lines]) -> None:
    """Draws a panel for each column, in it the dots of each labelled line, the first on top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    heights = [len(lines) + 1 for lines in panels.values()]
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's own settings are
        figure = Figure(figsize=(8, 1.2 + 0.5 * len(panels) + _LINE * sum(heights)), layout="constrained")
        legend: dict[str, Any] = {}
        rows = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (column, lines) in zip(rows, panels.items(), strict=True):
            for height, dots in enumerate(lines.values()):
                for dot in dots:
                    legend[dot.kind] = _mark(axes, dot, -height)
            axes.set_yticks(range(0, -len(lines), -1), list(lines), fontsize=8)
            axes.set_title(column, fontsize=9, loc="left")
            axes.grid(axis="x", alpha=0.3)
        rows[-1].set_xlabel(unit)
        figure.suptitle(title, fontsize=10)
        kinds = [kind for kind in _STYLES if kind in legend]
        figure.legend([legend[kind] for kind in kinds], kinds, loc="outside lower center", ncols=4, fontsize=8)
        with replacing(file) as partial:
            text = {"Software": None, DIGEST: digest(title, unit, panels)}
            figure.savefig(partial, format="png", dpi=110, metadata=text)


def _mark(axes: Any, dot: Dot, height: float) -> Any:
    marker, colour, filled = _STYLES[dot.kind]
    return axes.errorbar(
        dot.value,
        height,
        xerr=dot.deviation,
        fmt=marker,
        color=colour,
        markerfacecolor=colour if filled else "none",
        markersize=5,
        capsize=2,
    )


def digest(title: str, unit: str, panels: Mapping[str, Lines]) -> str:
    """Of all that a picture shows."""
    shown = [(column, [(label, *dots) for label, dots in lines.items()]) for column, lines in panels.items()]
    return hashlib.sha256(repr((title, unit, shown)).encode()).hexdigest()
