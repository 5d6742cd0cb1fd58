"""A table as a picture: published, peers' and our numbers on one axis, a cell a line.

The same numbers give the same bytes: the file holds no date and no version, but a digest of what was drawn.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from payattention.files import replacing

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


def draw(file: Path, title: str, unit: str, lines: Mapping[str, Sequence[Dot]]) -> None:
    """Draws the dots of each labelled line, the first on top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's own settings are
        figure = Figure(figsize=(8, 1.3 + _LINE * len(lines)), layout="constrained")
        axes = figure.subplots()
        for height, dots in enumerate(lines.values()):
            for dot in dots:
                marker, colour, filled = _STYLES[dot.kind]
                axes.errorbar(
                    dot.value, -height, xerr=dot.deviation, fmt=marker, color=colour, markersize=5, capsize=2,
                    markerfacecolor=colour if filled else "none", label=dot.kind,
                )  # fmt: skip
        axes.set_yticks(range(0, -len(lines), -1), list(lines), fontsize=8)
        axes.set_xlabel(unit)
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(axis="x", alpha=0.3)
        legend = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        kinds = [kind for kind in _STYLES if kind in legend]
        axes.legend([legend[kind] for kind in kinds], kinds, fontsize=8)
        metadata = {"Software": None, DIGEST: digest(title, unit, lines)}
        with replacing(file) as partial:
            figure.savefig(partial, format="png", dpi=110, metadata=metadata)


def digest(title: str, unit: str, lines: Mapping[str, Sequence[Dot]]) -> str:
    """Of all that a picture shows."""
    return hashlib.sha256(repr((title, unit, [(label, *dots) for label, dots in lines.items()])).encode()).hexdigest()
