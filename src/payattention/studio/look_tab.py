"""Look: a picture, the maps over it, and the classes."""

from typing import TYPE_CHECKING

import gradio as gr

from payattention.errors import UsageError
from payattention.explaining.methods import METHODS, is_costly, title_of
from payattention.studio.controls import (
    COMPUTING,
    Upload,
    drawn,
    example_strip,
    offer_files,
    picture_input,
    said,
    viewer,
)
from payattention.studio.service import Studio

if TYPE_CHECKING:
    from payattention.studio.looking import Looked


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab.

    Args:
        studio: Who answers.
        model: Which model is asked.
    """
    with gr.Row():
        with gr.Column(scale=1, min_width=240):
            picture = picture_input("Picture", "pa-look-picture")
            strip = example_strip(studio, "pa-look-examples")
            more = gr.Dropdown(_others(), label="More maps", multiselect=True, elem_id="pa-more", max_choices=4)
        with gr.Column(scale=4, min_width=320):
            shown = viewer("pa-look")

    def looked(upload: Upload | None, name: str, others: list[str] | None) -> "Looked":
        if upload is None:
            raise UsageError("choose a picture first")
        return studio.look(studio.picture(upload.path, upload.name), name, others or [])

    @said
    def look(upload: Upload | None, name: str, others: list[str] | None) -> str:
        """Where a model looks in a picture: JSON with classes, and maps by method, class and level."""
        return drawn(looked(upload, name, others).as_page())

    @said
    def files(upload: Upload | None, name: str, others: list[str] | None) -> str:
        """The same as one .zip file."""
        from payattention.studio.bundle import bundle_of_look

        found = looked(upload, name, others)
        return str(studio.packed(bundle_of_look, found, name))

    def again(upload: Upload | None, name: str, others: list[str] | None) -> object:
        return gr.skip() if upload is None else look(upload, name, others)

    given = [picture, model, more]
    gr.on([picture.input], look, given, shown, api_name="look", **COMPUTING)
    gr.on([model.input, more.input], again, given, shown, api_visibility="private", **COMPUTING)
    offer_files(files, given, "pa-look-files", "look_files")
    strip.chosen(picture).then(look, given, shown, api_visibility="private", **COMPUTING)


def _others() -> list[tuple[str, str]]:
    """Post-hoc methods that take no more than seconds, beside those that are always shown: titles and names."""
    shown = ("attention", "grad_cam", "activation")
    return [(title_of(name), name) for name in METHODS if name not in shown and not is_costly(name)]
