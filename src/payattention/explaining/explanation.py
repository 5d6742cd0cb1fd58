"""What a model says of one picture, and every way to see it: arrays, overlays, a figure, a notebook's cell, files."""

import base64
import html
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from payattention.attention.maps import FLAT, contrast, drawable, enlarged, is_flat, otsu_mask, stretched, upsampled
from payattention.errors import UsageError
from payattention.explaining.guided_filter import guided
from payattention.explaining.levels import Disagreement, disagreement, grid, in_words
from payattention.explaining.methods import ATTENTION, title_of
from payattention.explaining.output_form import EVERYTHING, OutputForm
from payattention.explaining.sheet import SIDE, Entry, Heading, Panel, pages, panel_side, right_or_wrong
from payattention.models.prediction import TOP
from payattention.pictures.drawing import STYLE, STYLES, fitted, shades
from payattention.system.files import at_home, short_stem, write_array, write_json, write_picture
from payattention.system.names import check_known

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

COMBINED = "combined"
_THUMBNAIL, _IN_FIGURE = 240, 1200  # pixels


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
        joint: The levels as one, float32 (h, w), by the model's rule (`payattention.attention.combination`).
        method: "attention", or the name of the post-hoc method that the maps are of.
        target: The class that the maps were asked for; None where they are for no class in particular.
        scale: How overlays and figures colour a map: a name of `payattention.pictures.drawing.SCALES`. Under "own" one
            that is nearly flat is not stretched to full contrast (`payattention.attention.maps.drawable`).
        true_class: What the picture is of, where that is known: a file in a folder of a class's name.
        refine: "guided" where maps at the picture's size, `combined` and `mask` among them, are brought to its edges
            (`payattention.explaining.guided_filter`).
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
    true_class: str | None = None
    refine: str | None = None

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
        return {level: self._stretched(values) for level, values in self.maps.items()}

    @cached_property
    def combined(self) -> NDArray[np.float32]:
        """float32 (H, W) in 0 ... 1: the levels as one, at the picture's size, stretched."""
        return self._refined(combined_at(self.joint, self._size))

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """bool (H, W): where `combined` exceeds Otsu's threshold."""
        return mask_of(self.combined)

    @cached_property
    def nearly_flat(self) -> tuple[str, ...]:
        """The maps, of `maps` and "combined", that hardly tell one place from another."""
        return tuple(level for level, values in self._all.items() if is_flat(torch.from_numpy(values)[None]).item())

    @cached_property
    def disagreement(self) -> Disagreement | None:
        """Two levels that look at different places, if there are such."""
        return disagreement(self.maps, but=self.nearly_flat)

    @cached_property
    def panels(self) -> dict[str, Image.Image]:
        """The picture, an overlay a level, and the combined map's."""
        return {"picture": self.picture, **{level: self.overlay(level) for level in self._all}}

    @property
    def wrong(self) -> bool:
        """Whether it is known to be of another class than the predicted one."""
        return self.true_class is not None and self.true_class != self.label

    @property
    def said(self) -> str:
        """The label with its probability, and whose the maps are where they are of a class that was asked for."""
        of = f"; maps of {self.target}" if self.target is not None else ""
        return f"{self.label} ({self.probability:.0%}){of}"

    @property
    def truth(self) -> str:
        """Whether the model is right, and what the picture is; "" where that is not known."""
        return right_or_wrong(self.true_class, self.wrong)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader ought to bear in mind of the maps, each in a few words."""
        flat = [f"nearly flat: {', '.join(self.nearly_flat)}"] if self.nearly_flat else []
        apart = self.disagreement
        return (
            *flat,
            *(["brought to the picture's edges"] if self.refine else []),
            *([] if apart is None else [f"{apart.one} and {apart.other} disagree: overlap {apart.overlap:.0%}"]),
        )

    @property
    def caption(self) -> str:
        """What is said of the picture, what it is if that is something else, and the notes, in a line."""
        return "; ".join((self.said, *([self.truth] if self.wrong else []), *self.notes))

    @cached_property
    def _scaled(self) -> dict[int, Image.Image]:
        """The picture at other sizes, by the longer side in pixels: its maps are drawn over the same."""
        return {}

    def _ground(self, side: int | None) -> Image.Image:
        if side is None:
            return self.picture
        if side not in self._scaled:
            self._scaled[side] = fitted(self.picture, side)
        return self._scaled[side]

    @property
    def shown(self) -> dict[str, str]:
        """The maps to look at, with what to call each: "fine, 14x14: layer10"; combined, where there are several."""
        words = in_words(self.maps)
        return words if len(words) == 1 else {**words, COMBINED: f"{COMBINED}, {grid(self.joint)}"}

    def overlay(
        self, level: str = COMBINED, style: str = STYLE, opacity: float = 0.6, side: int | None = None
    ) -> Image.Image:
        """A map over the picture. The map is enlarged bicubically, which adds nothing to what its grid holds.

        Args:
            level: A name of `maps`, or "combined".
            style: "heat": colours over the greyed picture; "dim": the picture, dark where the map is low, with a line
                at half the map's height; "contour": lines about what lies above a quarter, a half and three quarters.
            opacity: Of the colours, the dark or the lines: from 0, the picture alone, to 1.
            side: Pixels of its longer side; by default it has the picture's size.

        Raises:
            UsageError: An unknown level or style, or an opacity outside 0 ... 1.
        """
        if not 0 <= opacity <= 1:
            raise UsageError(f"the opacity is {opacity}: it must be in 0 ... 1")
        ground = self._ground(side)
        return STYLES[style](ground, self._heat(level, ground), opacity)

    def figure(self, style: str = STYLE) -> "Figure":
        """The picture, each map over it with a colour bar of its values, and the most probable classes, for a paper.

        Args:
            style: As for `overlay`.

        Returns:
            A figure of matplotlib's that no window belongs to: `figure.savefig("cat.pdf")`.
        """
        from matplotlib.figure import Figure

        count = len(self.shown) + 2
        figure = Figure(figsize=(2.6 * count, 2.8), layout="constrained")
        axes = figure.subplots(1, count)
        side = min(max(self.picture.size), _IN_FIGURE)
        axes[0].imshow(fitted(self.picture, side))
        axes[0].set_title(
            f"{self.name}\n{self.truth}".strip(), fontsize="small", parse_math=False, color="C3" if self.wrong else "k"
        )
        for axis, (level, title) in zip(axes[1:-1], self.shown.items(), strict=True):
            axis.imshow(self.overlay(level, style, side=side))
            note = " (nearly flat)" if level in self.nearly_flat else ""
            axis.set_title(f"{title}{note}", fontsize="small", parse_math=False)
            figure.colorbar(self._colours(level, style), ax=axis, shrink=0.8).ax.tick_params(labelsize="small")
        for axis in axes[:-1]:
            axis.set_axis_off()
        _bars(axes[-1], self.top)
        return figure

    def sheet(self, title: str = "", style: str = STYLE) -> Image.Image:
        """The picture and its maps side by side, under what the model says and how the maps are to be read."""
        entry = self.entry(title or self.name, style, panel_side(1 + len(self.shown), 1))
        return next(pages([entry], Heading(title_of(self.method), style, self.scale), 1))

    def entry(self, title: str, style: str = STYLE, side: int = SIDE) -> Entry:
        """The picture as it stands on a sheet, with its maps and their grids, each `side` pixels long at most."""
        maps = [Panel(self.overlay(level, style, side=side), words) for level, words in self.shown.items()]
        return Entry(title, self.said, [self.panel(side), *maps], self.true_class, self.wrong, self.notes)

    def panel(self, side: int) -> Panel:
        """The picture alone, small."""
        return Panel(self._ground(side), f"{self.picture.width}x{self.picture.height}")

    def save(self, out: str | Path, name: str | None = None, form: OutputForm = EVERYTHING) -> dict[str, str]:
        """Writes raw maps (.npy), overlays, mask and a sheet into a folder.

        Args:
            out: The folder.
            name: What the files' names begin with; by default the picture's name. Where files of that name are there
                already it gets a number ("cat-2"): nothing is overwritten.
            form: Which of these, in which style, as which kind of pictures; by default all, as .png.

        Returns:
            The files' names by what they hold, as in the `NAME.json` that is written last, with the raw maps.

        Raises:
            UsageError: A name with a folder in it, or a file where the folder should be.
        """
        folder = at_home(Path(out))
        if folder.is_file():
            raise UsageError(f"{folder}: a file is there, and an explanation is saved as several; name a folder")
        name = self._free_name(folder, self.name if name is None else name, form)
        return self.write(folder, f"{name}." if form.flat else f"{name}/", form)

    def write(self, folder: Path, prefix: str, form: OutputForm) -> dict[str, str]:
        """`save` under names that begin with a prefix, which may be a folder's: "cat." or "cat/"."""
        files: dict[str, str] = {}
        drawn: dict[str, Callable[[], Image.Image]] = {}  # one after the other: a camera's photographs are large
        if "raw" in form.parts:
            for level, values in self.maps.items():
                files[f"{level} map"] = f"{prefix}{level}.npy"
                write_array(folder / files[f"{level} map"], values)
            files["mask"] = f"{prefix}mask.png"
            write_picture(folder / files["mask"], Image.fromarray(self.mask))
        if "overlays" in form.parts:
            levels = self._all if form == EVERYTHING else self.shown  # of a single level, combined is the same
            drawn |= {f"{level} overlay": partial(self.overlay, level, form.style) for level in levels}
        if "sheet" in form.parts:
            drawn["sheet"] = partial(self.sheet, style=form.style)
        for what, draw in drawn.items():
            files[what] = f"{prefix}{what.removesuffix(' overlay')}.{form.format}"
            write_picture(folder / files[what], draw(), **form.drawing)
        if "raw" in form.parts:
            write_json(folder / f"{prefix}{'' if form.flat else 'numbers.'}json", {**self._facts(), "files": files})
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
            for title, picture in (
                ("picture", self.picture),
                (COMBINED, self.overlay(side=min(max(self.picture.size), _THUMBNAIL))),
            )
        )
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{probability:.1%}</td></tr>" for name, probability in self.top.items()
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in (self.truth, *self.notes) if note)
        return f"<table><tr>{pictures}<td><table>{rows}</table></td></tr></table>{notes}"

    @property
    def _all(self) -> dict[str, NDArray[np.float32]]:
        return {**self.maps, COMBINED: self.joint}

    def _stretched(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map at the picture's size, as maps are measured, in 0 ... 1."""
        return self._refined(stretched_at(values, self._size))

    def _refined(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.refine is None:
            return heat
        heat = guided(self.picture, heat)
        heat -= heat.min()
        heat /= max(heat.max(), np.finfo(np.float32).tiny)
        return heat

    @property
    def _size(self) -> tuple[int, int]:
        return self.picture.height, self.picture.width

    def _heat(self, level: str, ground: Image.Image) -> NDArray[np.float32]:
        """The map at the size of the picture that it is drawn over, in 0 ... 1."""
        check_known("level", self._all, level)
        values, size = torch.from_numpy(self._all[level])[None], (ground.height, ground.width)
        drawn = enlarged(values, size).clamp_(0, 1) if self.scale == "fixed" else drawable(values, size)
        heat: NDArray[np.float32] = drawn[0].numpy()
        if self.refine is None:
            return heat
        followed = guided(ground, heat)
        if self.scale == "own":  # as bright as before
            followed *= heat.max() / max(followed.max(), np.finfo(np.float32).tiny)
        return followed

    def _colours(self, level: str, style: str) -> "ScalarMappable":
        """What the shades of a drawn map stand for, in the map's own values."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        if self.scale == "fixed":
            return ScalarMappable(Normalize(0, 1), shades(style))
        values = torch.from_numpy(self._all[level])[None]
        low, high = float(values.min()), float(values.max())
        brightest = min(1.0, float(contrast(values)) / FLAT) or 1.0  # less than 1 where the map is nearly flat
        return ScalarMappable(Normalize(low, low + (high - low or 1e-6) / brightest), shades(style))

    def _facts(self) -> dict[str, object]:
        return {
            "label": self.label,
            "probabilities": dict(zip(self.classes, map(float, self.probabilities), strict=True)),
            "size": {"width": self.picture.width, "height": self.picture.height},
            "method": self.method,
            "target": self.target,
            "true_class": self.true_class,
            "refine": self.refine,
            "nearly_flat": list(self.nearly_flat),
            "disagreement": None if self.disagreement is None else self.disagreement._asdict(),
        }

    def _free_name(self, folder: Path, stem: str, form: OutputForm) -> str:
        if stem in ("", ".", "..") or Path(stem).name != stem:
            raise UsageError(f"name {stem!r}: what the files' names begin with, without a folder")
        stem = short_stem(stem)
        kinds = ("npy", form.format)
        endings = (
            "json",
            "mask.png",
            f"sheet.{form.format}",
            *(f"{level}.{kind}" for level in self._all for kind in kinds),
        )
        paths = [f".{ending}" for ending in endings] if form.flat else [""]
        name, number = stem, 2
        while any((folder / f"{name}{path}").exists() for path in paths):
            name, number = f"{stem}-{number}", number + 1
        return name


def stretched_at(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A map (h, w) at a picture's height and width, bilinearly, then from 0 to 1."""
    heat: NDArray[np.float32] = upsampled(torch.from_numpy(values)[None], size)[0].numpy()
    heat = np.subtract(heat, heat.min(), out=None if np.shares_memory(heat, values) else heat)
    heat /= max(heat.max(), np.finfo(np.float32).tiny)
    return heat


def combined_at(joint: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The levels as one (h, w), as a heat map of a picture's height and width, 0 ... 1."""
    return stretched_at(stretched(torch.from_numpy(joint)[None])[0].numpy(), size)


def mask_of(combined: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a heat map exceeds Otsu's threshold."""
    mask: NDArray[np.bool_] = otsu_mask(torch.from_numpy(combined)).numpy()
    return mask


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
