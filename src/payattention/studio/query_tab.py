"""Query: a second picture asks where to look in the first."""

import gradio as gr

from payattention.errors import UsageError
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


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab.

    Args:
        studio: Who answers.
        model: Which model is asked.
    """
    gr.HTML(
        "<p>Attention asks a question of every place in a picture, and the question comes from the picture itself. "
        "Here another picture asks.</p>",
        elem_classes="pa-note",
    )
    with gr.Row():
        with gr.Column(min_width=280):
            picture = picture_input("Picture that is looked at", "pa-query-picture")
            strip = example_strip(studio, "pa-query-examples")
        with gr.Column(min_width=280):
            query = picture_input("Picture that asks", "pa-query-query")
            asking = example_strip(studio, "pa-query-asking")
    shown = viewer("pa-query")

    @said
    def ask(upload: Upload | None, other: Upload | None, name: str) -> object:
        """How another picture's query moves a model's maps: JSON with the maps before and after, and the change."""
        if upload is None or other is None:
            return gr.skip()
        target, query = (studio.picture(own.path, own.name) for own in (upload, other))
        return drawn(studio.ask(query, target, name).as_page())

    @said
    def files(upload: Upload | None, other: Upload | None, name: str) -> str:
        """The same as one .zip file."""
        from payattention.studio.asking import Blind
        from payattention.studio.bundle import bundle_of_question

        if upload is None or other is None:
            raise UsageError("choose two pictures first")
        target, query = (studio.picture(own.path, own.name) for own in (upload, other))
        asked = studio.ask(query, target, name)
        if isinstance(asked, Blind):
            raise UsageError(asked.why)
        return str(studio.packed(bundle_of_question, asked, name))

    given = [picture, query, model]
    offer_files(files, given, "pa-query-files", "ask_files")
    gr.on([picture.input, query.input], ask, given, shown, api_name="ask", **COMPUTING)
    model.input(ask, given, shown, api_visibility="private", **COMPUTING)
    for some, field in ((strip, picture), (asking, query)):
        some.chosen(field).then(ask, given, shown, api_visibility="private", **COMPUTING)
