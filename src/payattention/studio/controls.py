"""The parts that the tabs share: a picture to drop, the dozen that come along, and the viewer that draws maps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from payattention.errors import PayAttentionError
from payattention.figures.self_contained import inside_html


@dataclass(frozen=True)
class Upload:
    """A file that somebody uploaded, not opened yet: where it lies, and what they call it."""

    path: Path
    name: str


def picture_input(label: str, elem_id: str) -> gr.Image:
    """A picture to drop, to paste, to choose, or to take by camera; events get an `Upload`, or None.

    gradio's own field would open the file, whatever it is; whether to is for our gate to say.
    """
    field = gr.Image(
        label=label, type="filepath", sources=["upload", "clipboard", "webcam"], elem_id=elem_id, height=240
    )
    field.preprocess = _upload
    return field


def _upload(payload: Any) -> Upload | None:
    """The file as it came."""
    if payload is None or payload.path is None:
        return None
    return Upload(Path(payload.path), payload.orig_name or Path(payload.path).name)


def viewer(elem_id: str) -> gr.HTML:
    """Where viewer.js draws what it is given as JSON; it is part of the page, and asks the server nothing."""
    return gr.HTML(
        "",
        html_template='<div class="pa-viewer"></div>',
        js_on_load="payattention.show(element, props, watch)",
        apply_default_css=False,
        elem_id=elem_id,
    )


def drawn(value: dict[str, Any]) -> str:
    """What a viewer draws from."""
    return inside_html(value)


def said(answer: Callable[..., Any]) -> Callable[..., Any]:
    """An event whose errors reach the page as the line that they are."""

    @wraps(answer)
    def told(*given: Any) -> Any:
        try:
            return answer(*given)
        except PayAttentionError as error:
            raise gr.Error(str(error), print_exception=False, duration=None) from None

    return told
