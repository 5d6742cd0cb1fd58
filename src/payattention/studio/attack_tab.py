"""Attack: a change that no one sees, and what comes of it."""

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from payattention.studio.attacking import UnderAttack

_ANYTHING = "anything else"


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab.

    Args:
        studio: Who answers.
        model: Which model is asked.
    """
    with gr.Row():
        with gr.Column(min_width=280):
            picture = picture_input("Picture", "pa-attack-picture")
            strip = example_strip(studio, "pa-attack-examples")
        with gr.Column(min_width=280):
            method, eps, towards = _fields()
            start = gr.Button("Attack", variant="primary", elem_id="pa-attack-start")
    shown = viewer("pa-attack")

    def attacked(upload: Upload | None, name: str, how: str, size: float, target: str | None) -> "UnderAttack":
        from payattention.studio.attacking import AttackOfOne

        if upload is None:
            raise UsageError("choose a picture first")
        asked = AttackOfOne(float(size), how, None if target in (None, "", _ANYTHING) else target)
        return studio.attack(studio.picture(upload.path, upload.name), name, asked)

    @said
    def attack(upload: Upload | None, name: str, how: str, size: float, target: str | None) -> str:
        """What an attack does to a picture: JSON with classes and maps before, under attack, and under noise."""
        return drawn(attacked(upload, name, how, size, target).as_page())

    @said
    def files(upload: Upload | None, name: str, how: str, size: float, target: str | None) -> str:
        """The same as one .zip file."""
        from payattention.studio.bundle import bundle_of_attack

        return str(studio.packed(bundle_of_attack, attacked(upload, name, how, size, target), name))

    def again(upload: Upload | None, *others: object) -> object:
        return gr.skip() if upload is None else attack(upload, *others)

    @said
    def classes(name: str) -> object:
        return gr.update(choices=[_ANYTHING, *studio.classes(name)])

    given = [picture, model, method, eps, towards]
    offer_files(files, given, "pa-attack-files", "attack_files")
    start.click(attack, given, shown, api_name="attack", **COMPUTING)
    gr.on(
        [picture.input, method.input, eps.release, towards.input],
        again,
        given,
        shown,
        api_visibility="private",
        **COMPUTING,
    )
    model.input(lambda: _ANYTHING, None, towards, api_visibility="private", show_progress="hidden")
    gr.on([towards.focus], classes, model, towards, api_visibility="private", **COMPUTING)
    strip.chosen(picture).then(attack, given, shown, api_visibility="private", **COMPUTING)


def _fields() -> tuple[gr.Radio, gr.Slider, gr.Dropdown]:
    """By which attack, how large, and towards which class."""
    method = gr.Radio([("FGSM", "fgsm"), ("PGD", "pgd")], value="fgsm", label="Attack", elem_id="pa-attack-how")
    eps = gr.Slider(0, 16, value=4, step=0.5, label="Size: the most by which a pixel changes, of 255", elem_id="pa-eps")
    towards = gr.Dropdown(
        [_ANYTHING],
        value=_ANYTHING,
        label="To be taken for",
        allow_custom_value=True,
        elem_id="pa-towards",
        info="Choose a class, or write its name.",
    )
    return method, eps, towards
