"""What is written of explanations: which parts, in which style, as files of which kind, and how they are named."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from payattention.errors import UsageError
from payattention.pictures.drawing import STYLE, STYLES
from payattention.system.names import Registry, check_known

PARTS = ("overlays", "sheet", "raw")
FORMATS: Registry[Mapping[str, Any]] = Registry("format", {"png": {}, "jpg": {"quality": 90}, "webp": {"quality": 90}})
"""By the suffix of a picture's file, how Pillow is to write it."""
_MOST = {"jpg": 65_500, "webp": 16_383}  # pixels a side


@dataclass(frozen=True)
class OutputForm:
    """Checked when it is made.

    Attributes:
        parts: Of `PARTS`: "overlays", each map over the picture at its own size; "sheet", pages of all pictures; "raw",
            the maps as arrays, the mask and the numbers.
        style: How maps are drawn, a name of `payattention.pictures.drawing.STYLES`.
        format: Of the pictures that are drawn.
        flat: Whether all files lie in one folder, their names beginning with the picture's, not in a folder a picture.

    Raises:
        UsageError: An unknown part, style or format.
    """

    parts: frozenset[str] = frozenset({"overlays", "sheet"})
    style: str = STYLE
    format: str = "png"
    flat: bool = False

    def __post_init__(self) -> None:
        check_known("part", PARTS, *sorted(self.parts))
        check_known("style", STYLES, self.style)
        check_known("format", FORMATS, self.format)

    @staticmethod
    def asked(only: Iterable[str] | None, style: str | None, format: str | None, flat: bool) -> "OutputForm":
        """As it is typed, where nothing may be asked for that has nothing to be about.

        Args:
            only: Parts, each alone or several with commas between.
            style: None for the default.
            format: None for the default.
            flat: As above.
        """
        default = OutputForm()
        parts = frozenset(part.strip() for named in only or () for part in named.split(",")) or default.parts
        form = OutputForm(parts, style or default.style, format or default.format, flat)
        if form.parts == {"raw"}:
            for option, given in (("style", style), ("format", format)):
                if given is not None:
                    raise UsageError(f"--{option} {given}: raw maps are arrays; {option}s are of overlays and sheets")
        if form.parts == {"sheet"} and flat:
            raise UsageError("--flat: sheets lie side by side already; it is for overlays and raw maps")
        return form

    @property
    def drawing(self) -> Mapping[str, Any]:
        """How Pillow is to write a picture."""
        return FORMATS[self.format]

    @property
    def without_sheet(self) -> "OutputForm":
        """Where the sheet is one for all pictures."""
        return replace(self, parts=self.parts - {"sheet"})

    @property
    def bounded(self) -> bool:
        """Whether a picture may be too large for its overlay's file."""
        return "overlays" in self.parts and self.format in _MOST

    def check_holds(self, name: str, size: tuple[int, int]) -> None:
        """Raises UsageError for a picture too large for the files that are asked for; its width and height."""
        most = _MOST.get(self.format)
        if most is not None and max(size) > most:
            raise UsageError(
                f"{name}: it is {size[0]}x{size[1]}, and a .{self.format} file holds {most:,} pixels a side; "
                "take --format png"
            )


EVERYTHING = OutputForm(frozenset(PARTS), flat=True)
