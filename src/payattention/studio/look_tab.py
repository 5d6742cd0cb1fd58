"""Look: a picture, the maps over it, and the classes."""

import gradio as gr

from payattention.errors import UsageError
from payattention.explaining.methods import METHODS, is_costly, title_of
from payattention.studio.controls import COMPUTING, Upload, drawn, example_strip, picture_input, said, viewer
from payattention.studio.service import Studio


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

    @said
    def look(upload: Upload | None, name: str, others: list[str] | None) -> str:
        """Where a model looks in a picture: JSON with classes, and maps by method, class and level."""
        if upload is None:
            raise UsageError("choose a picture first")
        return drawn(studio.look(studio.picture(upload.path, upload.name), name, others or []).as_page())

    def again(upload: Upload | None, name: str, others: list[str] | None) -> object:
        return gr.skip() if upload is None else look(upload, name, others)

    given = [picture, model, more]
    gr.on([picture.input], look, given, shown, api_name="look", **COMPUTING)
    gr.on([model.input, more.input], again, given, shown, api_visibility="private", **COMPUTING)
    strip.chosen(picture).then(look, given, shown, api_visibility="private", **COMPUTING)


def _others() -> list[tuple[str, str]]:
    """Post-hoc methods that take no more than seconds, beside those that are always shown: titles and names."""
    shown = ("attention", "grad_cam", "activation")
    return [(title_of(name), name) for name in METHODS if name not in shown and not is_costly(name)]
