"""What a model says of one picture, and every way to see it: arrays, overlays, a figure, a notebook's cell, files."""

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from payattention.attention.maps import drawable, is_flat, otsu_mask, stretched, upsampled
from payattention.errors import UsageError
from payattention.pictures.drawing import COLOUR_MAP, STYLES, contact_sheet, fitted
from payattention.system.files import at_home, short_stem, write_array, write_json, write_picture
from payattention.system.names import check_known

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

COMBINED = "combined"
ATTENTION = "attention"
TOP = 5
_THUMBNAIL = 240  # pixels


@dataclass(frozen=True, repr=False)
class Explanation:
    """What a model says of one picture.

    Attributes:
        picture: The picture, RGB, at its own size (H, W).
        name: What it is called: its file's name without folders and suffix.
        label: The predicted class.
        probabilities: By class, float32 (C,), in the order of `classes`.
        classes: The class names.
        maps: By level, float32 (h, w) on the level's own grid, as the model or the method gives them.
        joint: The last two levels as one, float32 (h, w) on the finer grid (`payattention.attention.maps.joint`).
        method: "attention", or the name of the post-hoc method that the maps are of.
        target: The class that the maps were asked for; None where they are for no class in particular.
        scale: How overlays and figures colour a map: a name of `payattention.pictures.drawing.SCALES`. Under "own" one
            that is nearly flat is not stretched to full contrast (`payattention.attention.maps.drawable`).
    """

    picture: Image.Image
    name: str
    label: str
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    maps: Mapping[str, NDArray[np.float32]]
    joint: NDArray[np.float32]
    method: str = ATTENTION
    target: str | None = None
    scale: str = "own"

    @property
    def probability(self) -> float:
        """The predicted class's probability."""
        return float(self.probabilities.max())

    @property
    def top(self) -> dict[str, float]:
        """The five most probable classes, the first one first, with their probabilities."""
        order = np.argsort(-self.probabilities, kind="stable")[:TOP]
        return {self.classes[k]: float(self.probabilities[k]) for k in order}

    @cached_property
    def heatmaps(self) -> Mapping[str, NDArray[np.float32]]:
        """By level, float32 (H, W) in 0 ... 1: the map at the picture's size, stretched."""
        return {level: stretched(self._enlarged(values))[0].numpy() for level, values in self.maps.items()}

    @cached_property
    def combined(self) -> NDArray[np.float32]:
        """float32 (H, W) in 0 ... 1: the last two levels as one, at the picture's size, stretched."""
        own = stretched(torch.from_numpy(self.joint)[None])[0].numpy()
        heat: NDArray[np.float32] = stretched(self._enlarged(own))[0].numpy()
        return heat

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """bool (H, W): where `combined` exceeds Otsu's threshold."""
        mask: NDArray[np.bool_] = otsu_mask(torch.from_numpy(self.combined)).numpy()
        return mask

    @cached_property
    def nearly_flat(self) -> tuple[str, ...]:
        """The maps, of `maps` and "combined", that hardly tell one place from another."""
        return tuple(level for level, values in self._all.items() if is_flat(torch.from_numpy(values)[None]).item())

    @cached_property
    def panels(self) -> dict[str, Image.Image]:
        """The picture, an overlay a level, and the combined map's: the columns of a contact sheet."""
        return {"picture": self.picture, **{level: self.overlay(level) for level in self._all}}

    @property
    def caption(self) -> str:
        """The label with its probability, and what else a reader of a sheet ought to know."""
        of = f"; maps of {self.target}" if self.target is not None else ""
        flat = f"; nearly flat: {', '.join(self.nearly_flat)}" if self.nearly_flat else ""
        return f"{self.label} ({self.probability:.0%}){of}{flat}"

    def overlay(self, level: str = COMBINED, style: str = "heat", opacity: float = 0.6) -> Image.Image:
        """A map over the picture, at the picture's size.

        Args:
            level: A name of `maps`, or "combined".
            style: "heat": colours over the greyed picture; "dim": the picture, dark where the map is low; "contour":
                lines about what lies above a quarter, a half and three quarters.
            opacity: Of the colours, the dark or the lines: from 0, the picture alone, to 1.

        Raises:
            UsageError: An unknown level or style, or an opacity outside 0 ... 1.
        """
        if not 0 <= opacity <= 1:
            raise UsageError(f"the opacity is {opacity}: it must be in 0 ... 1")
        return STYLES[style](self.picture, self._heat(level), opacity)

    def figure(self, style: str = "heat") -> "Figure":
        """The picture, each map over it with a colour bar of its values, and the most probable classes, for a paper.

        Args:
            style: As for `overlay`.

        Returns:
            A figure of matplotlib's that no window belongs to: `figure.savefig("cat.pdf")`.
        """
        from matplotlib.figure import Figure

        count = len(self._all) + 2
        figure = Figure(figsize=(2.6 * count, 2.8), layout="constrained")
        axes = figure.subplots(1, count)
        axes[0].imshow(self.picture)
        axes[0].set_title(self.name, fontsize="small", parse_math=False)
        for axis, level in zip(axes[1:-1], self._all, strict=True):
            axis.imshow(self.overlay(level, style))
            note = " (nearly flat)" if level in self.nearly_flat else ""
            axis.set_title(f"{level}{note}", fontsize="small", parse_math=False)
            figure.colorbar(self._colours(level), ax=axis, shrink=0.8).ax.tick_params(labelsize="small")
        for axis in axes[:-1]:
            axis.set_axis_off()
        _bars(axes[-1], self.top)
        return figure

    def sheet(self, title: str = "") -> Image.Image:
        """The panels side by side."""
        return contact_sheet([list(self.panels.values())], list(self.panels), [f"{title} {self.caption}".strip()])

    def save(self, out: str | Path, name: str | None = None) -> dict[str, str]:
        """Writes raw maps (.npy), overlays (.png), mask and a sheet into a folder.

        Args:
            out: The folder.
            name: What the files' names begin with; by default the picture's name. Where files of that name are there
                already it gets a number ("cat-2"): nothing is overwritten.

        Returns:
            The files' names by what they hold, as in the `NAME.json` that is written last.

        Raises:
            UsageError: A name with a folder in it, or a file where the folder should be.
        """
        folder = at_home(Path(out))
        if folder.is_file():
            raise UsageError(f"{folder}: a file is there, and an explanation is saved as several; name a folder")
        name = self._free_name(folder, self.name if name is None else name)
        files: dict[str, str] = {}
        for level, values in self.maps.items():
            files[f"{level} map"] = write_array(folder / f"{name}.{level}.npy", values)
        pictures = {
            **{f"{panel} overlay": image for panel, image in self.panels.items() if panel != "picture"},
            "mask": Image.fromarray(self.mask),
            "sheet": self.sheet(name),
        }
        for what, image in pictures.items():
            files[what] = write_picture(folder / f"{name}.{what.removesuffix(' overlay')}.png", image)
        write_json(folder / f"{name}.json", {**self._facts(), "files": files})
        return files

    def __repr__(self) -> str:
        size = f"{self.picture.width}x{self.picture.height}"
        maps = ", ".join(self.maps)
        of = "" if self.target is None else f" of {self.target}"
        return f"Explanation({self.name}, {size}: {self.label} {self.probability:.1%}; {self.method}{of}: {maps})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture, the combined map over it, and the most probable classes."""
        pictures = "".join(
            f'<td><img src="data:image/png;base64,{_base64(fitted(picture, _THUMBNAIL))}" alt="{title}"></td>'
            for title, picture in (("picture", self.picture), (COMBINED, self.overlay()))
        )
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{probability:.1%}</td></tr>" for name, probability in self.top.items()
        )
        flat = "<p>The map is nearly flat.</p>" if COMBINED in self.nearly_flat else ""
        return f"<table><tr>{pictures}<td><table>{rows}</table></td></tr></table>{flat}"

    @property
    def _all(self) -> dict[str, NDArray[np.float32]]:
        return {**self.maps, COMBINED: self.joint}

    def _enlarged(self, values: NDArray[np.float32]) -> torch.Tensor:
        return upsampled(torch.from_numpy(values)[None], (self.picture.height, self.picture.width))

    def _heat(self, level: str) -> NDArray[np.float32]:
        """The map (H, W) in 0 ... 1 as it is drawn."""
        check_known("level", self._all, level)
        values, own = torch.from_numpy(self._all[level])[None], (self.picture.height, self.picture.width)
        fixed = self.scale == "fixed"
        heat: NDArray[np.float32] = (upsampled(values, own).clamp(0, 1) if fixed else drawable(values, own))[0].numpy()
        return heat

    def _colours(self, level: str) -> "ScalarMappable":
        """What the colours of a drawn map stand for, in the map's own values."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        if self.scale == "fixed":
            return ScalarMappable(Normalize(0, 1), COLOUR_MAP)
        values, heat = self._enlarged(self._all[level])[0], self._heat(level)
        low, high = float(values.min()), float(values.max())
        brightest = float(heat.max()) or 1.0  # less than 1 where the map is nearly flat
        return ScalarMappable(Normalize(low, low + (high - low or 1e-6) / brightest), COLOUR_MAP)

    def _facts(self) -> dict[str, object]:
        return {
            "label": self.label,
            "probabilities": dict(zip(self.classes, map(float, self.probabilities), strict=True)),
            "size": {"width": self.picture.width, "height": self.picture.height},
            "method": self.method,
            "target": self.target,
            "nearly_flat": list(self.nearly_flat),
        }

    def _free_name(self, folder: Path, stem: str) -> str:
        if stem in ("", ".", "..") or Path(stem).name != stem:
            raise UsageError(f"name {stem!r}: what the files' names begin with, without a folder")
        stem = short_stem(stem)
        endings = ("json", "sheet.png", "mask.png", *(f"{level}.npy" for level in self.maps))
        name, number = stem, 2
        while any((folder / f"{name}.{ending}").exists() for ending in endings):
            name, number = f"{stem}-{number}", number + 1
        return name


def _bars(axis: "Axes", top: Mapping[str, float]) -> None:
    """The most probable classes, the first one above."""
    places = range(len(top))
    axis.barh(places, list(top.values()), color="0.4")
    axis.set_yticks(places, [name if len(name) <= 24 else f"{name[:21]}..." for name in top], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("probability", fontsize="small")
    axis.tick_params(labelsize="small")
    axis.spines[["top", "right"]].set_visible(False)


def _base64(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
