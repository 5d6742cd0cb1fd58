"""Folder: many pictures at once, mistakes first, with their maps and the confusion matrix."""

from functools import partial
from html import escape
from typing import Any

import gradio as gr

from payattention.studio.bundle import words_of, write_bundle
from payattention.studio.controls import said
from payattention.studio.folders import MOST, Gallery, gallery_of_folder, gallery_of_run
from payattention.studio.service import Studio

_RUN = "run: "
"""What a choice begins with that is a run, not a folder."""


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab.

    Args:
        studio: Who answers.
        model: Which model looks at folders; a run's pictures are looked at by its own.
    """
    with gr.Row():
        place = gr.Dropdown(
            _choices(studio),
            value=None,
            label="Folder or run",
            info="Choose one, or type a folder's name. The model above looks at a folder; at a run's test pictures, "
            "the run's own.",
            allow_custom_value=True,
            elem_id="pa-folder-place",
            scale=3,
        )
        most = gr.Slider(10, MOST, value=60, step=10, label="Pictures at most", elem_id="pa-folder-most", scale=2)
        look = gr.Button("Look", variant="primary", elem_id="pa-folder-look", scale=1, min_width=140)
    said_of = gr.HTML("", elem_id="pa-folder-said")
    files = gr.DownloadButton("Download as one .zip", visible=False, elem_id="pa-folder-files")
    shown = gr.HTML("", elem_id="pa-folder-gallery", apply_default_css=False)

    @said
    def look_through(chosen: str | None, count: float, name: str, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        """A gallery of a folder's or a run's pictures."""
        told = partial(_tell, progress)
        gallery = _gallery(studio, chosen or "", int(count), name, told)
        bundle = write_bundle(studio.folder / "galleries", "gallery", {"gallery.html": gallery.html}, [gallery.command])
        return _line(gallery), _frame(gallery), gr.DownloadButton(value=str(bundle), visible=True)

    look.click(
        look_through,
        [place, most, model],
        [said_of, shown, files],
        api_name="folder",
        concurrency_id="folder",
        concurrency_limit=1,
    )
    place.focus(lambda: gr.Dropdown(_choices(studio)), None, place, api_visibility="private", show_progress="hidden")


def _choices(studio: Studio) -> list[str]:
    return [*(f"{_RUN}{run}" for run in studio.found_runs()), *studio.folders.offered()]


def _gallery(studio: Studio, chosen: str, count: int, name: str, told: partial[None]) -> Gallery:
    if chosen.startswith(_RUN):
        run = chosen.removeprefix(_RUN)
        own = studio.named(run)
        return gallery_of_run(own.run, lambda work: studio.computed(work, run), count, told)
    words = words_of(studio.named(name))
    folder = studio.folders.folder(chosen)
    return gallery_of_folder(folder, lambda work: studio.computed(work, name), words, count, told)


def _tell(progress: gr.Progress, done: int, count: int) -> None:
    progress((done, count), desc="looking", unit="pictures")


def _line(gallery: Gallery) -> str:
    return f'<p role="status">{escape(gallery.said)} The same of all: <code>{escape(gallery.command)}</code></p>'


def _frame(gallery: Gallery) -> str:
    """The page in a frame that may run its own script and reach nothing else, not even this page."""
    return (
        '<iframe class="pa-gallery" title="Pictures with their maps" sandbox="allow-scripts" '
        f'srcdoc="{escape(gallery.html)}"></iframe>'
    )
