"""The pictures that a file takes: of one size, or of any whose sides are multiples of something."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sides:
    """Heights and widths, in pixels.

    Attributes:
        height: Of the model's own pictures.
        width: Likewise.
        step: A file takes all multiples of it, from `least` on; None where it takes the model's own size alone.
        least: The smallest height and width.
    """

    height: int
    width: int
    step: int | None = None
    least: int = 1

    @property
    def in_words(self) -> str:
        """Which pictures are taken."""
        if self.step is None:
            return f"{self.width}x{self.height} pixels"
        return f"any sides from {self.least} pixels{f', multiples of {self.step}' if self.step > 1 else ''}"

    def fitting(self, side: float) -> int:
        """The side that is taken and lies nearest to one that need not be."""
        assert self.step is not None
        least = -(-self.least // self.step) * self.step
        return max(least, round(side / self.step) * self.step)
