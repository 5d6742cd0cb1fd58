"""What is known of each named data set, as `catalogue.toml` has it.

Counts are the published ones; where a set here has others, its images' `source` says so. Download sizes are those of
the archives.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from payattention.errors import UsageError
from payattention.system.validation import checked, within

_Count = Annotated[int, Field(ge=1)]


@checked(frozen=True)
class Facts:
    """One data set.

    Attributes:
        name: What it is asked for by.
        title: Its own name.
        classes: Number of classes.
        kinds: What the classes are.
        counts: Published number of images by split. "all" joins the splits, where a protocol wants that.
        size: Side of the images in pixels, by default; the set's own where it has one.
        kind: "embedded", "download" (torchvision fetches it and checks it) or "by hand".
        megabytes: Size of the download; 0 where it is not known.
        get: Where it comes from, and what to fetch there.
        folder: What must then lie below the data root: `<folder>/<marker>`, or `<marker>` itself.
        marker: A file or folder by which the set is known.
        layout: What it must hold.
        splitting: Whose splits these are.
        masks: What its object masks are; "" where it has none.
        mirror: Whether a mirrored picture keeps its class.
        licence: A note on the terms of use; the set's own page has the last word.
        citation: Whom to cite.
    """

    name: str
    title: str
    classes: Annotated[int, Field(ge=2)]
    kinds: str
    counts: Annotated[dict[str, _Count], Field(min_length=1)]
    size: _Count
    kind: Literal["embedded", "download", "by hand"]
    megabytes: Annotated[int, Field(ge=0)] = 0
    get: str = ""
    folder: str = ""
    marker: str = ""
    layout: str = ""
    splitting: str = "official"
    masks: str = ""
    mirror: bool = True
    licence: str = "none stated; for research"
    citation: str = ""

    @model_validator(mode="after")
    def _check_place(self) -> "Facts":
        if self.kind != "embedded" and not (self.get and self.folder and self.marker and self.layout):
            raise ValueError("what is not embedded says where it comes from: get, folder, marker and layout")
        return self


def catalogue_of(content: dict[str, Any]) -> Mapping[str, Facts]:
    """The sets of a catalogue; one with a `base`, a set above it, says only what differs from that.

    Raises:
        UsageError: A wrong or unknown field, or none where one is needed.
    """
    known: dict[str, Facts] = {}
    for name, fields in content.items():
        base = content[fields.pop("base")] if "base" in fields else {}
        with within(f"catalogue.toml, {name}"):
            known[name] = Facts(name, **base | fields)
    return known


CATALOGUE = catalogue_of(tomllib.loads((files("payattention.data") / "catalogue.toml").read_text(encoding="utf-8")))
"""The named data sets, by name."""


def without_masks(name: str) -> UsageError:
    """The error for a data set that has no object masks, where they are wanted."""
    known = ", ".join(facts.name for facts in CATALOGUE.values() if facts.masks)
    return UsageError(f"{name} has no object masks; these have: {known}, and folder:PATH with PATH/masks")
