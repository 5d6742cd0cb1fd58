"""The parts that the tabs share: a picture to drop, the dozen that come along, and the viewer that draws maps."""

import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from payattention.errors import PayAttentionError
from payattention.figures.self_contained import inside_html
from payattention.studio.examples import example, small
from payattention.studio.service import Studio

COMPUTING: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2, "show_progress": "minimal"}
"""Of events that ask a model: one is read and packed while another is computed, the others wait."""


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
    hand_on(field)
    return field


def hand_on(field: Any) -> None:
    """Lets a field of gradio's give its events the file as it came: an `Upload`, or None."""
    field.preprocess = uploaded


def uploaded(payload: Any) -> Upload | None:
    """The file as it came."""
    if payload is None or payload.path is None:
        return None
    return Upload(Path(payload.path), payload.orig_name or Path(payload.path).name)


@dataclass(frozen=True)
class Strip:
    """The dozen pictures that come along, to choose from."""

    studio: Studio
    html: gr.HTML

    def chosen(self, field: gr.Image) -> Any:
        """The event that one is chosen and has come into a field, for what is to follow."""

        @said
        def choose(event: gr.EventData) -> str:
            file = example(event._data.get("number") if isinstance(event._data, dict) else None)[0]
            copy = self.studio.folder / "examples" / file.name  # gradio hands out its temporary files alone
            if not copy.exists():
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(file, copy)
            return str(copy)

        return self.html.select(choose, None, field, api_visibility="private", show_progress="hidden")


def example_strip(studio: Studio, elem_id: str) -> Strip:
    """The dozen, filled when the page has come."""
    html = gr.HTML(
        lambda: inside_html({"pictures": small()}),
        html_template='<div class="pa-strip"></div>',
        js_on_load="payattention.strip(element, props, trigger, watch)",
        apply_default_css=False,
        elem_id=elem_id,
    )
    return Strip(studio, html)


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


def offer_files(make: Callable[..., Any], given: list[Any], elem_id: str, api_name: str) -> None:
    """Adds a button that makes an archive of what is shown, and then fetches it.

    Args:
        make: Gives the archive's path.
        given: What it is made of.
        elem_id: Of the button.
        api_name: By which a program asks for it.
    """
    button = gr.Button("Download as one .zip", elem_id=elem_id, size="sm")
    file = gr.DownloadButton("Download", visible="hidden", elem_id=f"{elem_id}-file")
    fetch = f"() => {{ document.querySelector('#{elem_id}-file')?.click(); }}"
    button.click(make, given, file, api_name=api_name, **COMPUTING).success(
        None, None, None, js=fetch, api_visibility="private"
    )


def said(answer: Callable[..., Any]) -> Callable[..., Any]:
    """An event whose errors reach the page as the line that they are."""

    @wraps(answer)
    def told(*given: Any) -> Any:
        try:
            return answer(*given)
        except PayAttentionError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except gr.Error:
            raise
        except Exception as error:  # the server lives on, and whoever started it learns what went wrong
            traceback.print_exc(file=sys.stderr)
            raise gr.Error(
                f"this went wrong on the server ({type(error).__name__}); what it printed tells more",
                print_exception=False,
            ) from None

    return told
