"""Look: a picture, the maps over it, and the classes."""

import gradio as gr

from payattention.errors import UsageError
from payattention.studio.controls import Upload, drawn, picture_input, said, viewer
from payattention.studio.service import Studio


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab.

    Args:
        studio: Who answers.
        model: Which model is asked.
    """
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            picture = picture_input("Picture", "pa-look-picture")
        with gr.Column(scale=3, min_width=320):
            shown = viewer("pa-look")

    @said
    def look(upload: Upload | None, name: str) -> str:
        """Where a model looks in a picture."""
        if upload is None:
            raise UsageError("choose a picture first")
        return drawn(studio.look(studio.picture(upload.path, upload.name), name).as_page())

    gr.on([picture.input, model.input], look, [picture, model], shown, api_name="look", concurrency_id="model")
