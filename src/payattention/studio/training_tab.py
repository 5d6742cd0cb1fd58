"""Train on yours: attention on a frozen backbone, for pictures in class folders; then Look with that model."""

import shutil
import tempfile
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from payattention.errors import UsageError
from payattention.studio.archives import unpacked
from payattention.studio.bundle import pack_run
from payattention.studio.controls import Upload, hand_on, said
from payattention.studio.service import Studio
from payattention.studio.training import Order, Standing
from payattention.studio.uploads import name_to_show

_ABOUT = (
    "<p>A folder for each class, with its pictures in it: as one .zip, or a folder of this machine. Attention is "
    "trained on the features of a frozen EfficientNet-Lite0; every fifth picture of a class is held out to measure "
    "the error. One training at a time; it goes on when this page is closed.</p>"
)
_EVERY = 1.0  # seconds between two looks at a training that is running


def add(studio: Studio, model: gr.Dropdown, tabs: gr.Tabs) -> None:
    """Adds what stands in the tab.

    Args:
        studio: Who trains.
        model: Where the new model is chosen when it is there.
        tabs: Of the page; "look" is one of them.
    """
    gr.HTML(_ABOUT)
    with gr.Row():
        archive = gr.File(label="Pictures as .zip", file_types=[".zip"], type="filepath", elem_id="pa-train-archive")
        hand_on(archive)
        with gr.Column():
            place = gr.Dropdown(
                studio.folders.offered(),
                value=None,
                label="or a folder of this machine",
                allow_custom_value=True,
                elem_id="pa-train-place",
            )
            with gr.Row():
                begin = gr.Button("Train", variant="primary", elem_id="pa-train-begin")
                stop = gr.Button("Stop", elem_id="pa-train-stop", interactive=False)
    standing = gr.HTML("", elem_id="pa-train-standing")
    with gr.Row():
        look = gr.Button("Look with this model", visible=False, elem_id="pa-train-look")
        files = gr.DownloadButton("Download the run", visible=False, elem_id="pa-train-files")
    clock = gr.Timer(_EVERY, active=False)
    shown = [standing, begin, stop, look, files, clock]

    def now() -> list[Any]:
        """How the last training stands."""
        return _shown(studio, studio.trainer.standing())

    @said
    def train(upload: Upload | None, chosen: str | None) -> list[Any]:
        """Begins a training on pictures in class folders."""
        return _shown(studio, _begun(studio, upload, chosen or ""))

    def end() -> list[Any]:
        """Stops the training."""
        return _shown(studio, studio.trainer.stop())

    def chosen_model() -> tuple[gr.Dropdown, gr.Tabs]:
        run = studio.trainer.standing().run
        names = studio.models()
        return gr.Dropdown(names, value=str(run) if str(run) in names else names[0]), gr.Tabs(selected="look")

    begin.click(train, [archive, place], shown, api_name="train", concurrency_id="train", concurrency_limit=1)
    stop.click(end, None, shown, api_name="stop_training", concurrency_id="stop", concurrency_limit=1)
    asked = {"show_progress": "hidden", "concurrency_id": "standing", "concurrency_limit": 8}
    clock.tick(now, None, shown, api_visibility="private", **asked)
    gr.on(None, now, None, shown, api_name="training", **asked)  # when a page is opened
    look.click(chosen_model, None, [model, tabs], api_visibility="private", show_progress="hidden")
    place.focus(
        lambda: gr.Dropdown(studio.folders.offered()), None, place, api_visibility="private", show_progress="hidden"
    )


def _begun(studio: Studio, upload: Upload | None, chosen: str) -> Standing:
    """Begins on what was uploaded, else on the folder that was chosen."""
    if upload is None and not chosen.strip():
        raise UsageError("choose pictures first: a .zip, or a folder of this machine")
    studio.trainer.check_free()
    if upload is None:
        folder = studio.folders.folder(chosen)
        return studio.trainer.begin(Order(folder, name_to_show(folder.name)))
    place = Path(tempfile.mkdtemp(prefix="train-", dir=studio.folder))
    try:
        found = unpacked(upload.path, place, upload.name, limits=studio.bounds.upload)
        order = Order(place, name_to_show(upload.name), found.classes, left_out=tuple(found.left_out))
        return studio.trainer.begin(order, remove=place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _shown(studio: Studio, now: Standing) -> list[Any]:
    running, done = now.state == "running", now.run is not None and now.run.is_dir()
    packed = pack_run(now.run, studio.folder / "runs") if done and now.run is not None else None
    run = gr.DownloadButton(value=None if packed is None else str(packed), visible=done)
    return [
        _told(now),
        gr.Button(interactive=not running),
        gr.Button(interactive=running),
        gr.Button(visible=done),
        run,
        gr.Timer(active=running),
    ]


def _told(now: Standing) -> str:
    """A training in words, with a bar while it runs."""
    if now.state == "none":
        return ""
    title, left_out = f"<b>{escape(now.title)}</b>", ""
    if now.left_out:
        left_out = f'<p class="pa-note">left out: {escape("; ".join(now.left_out[:3]))}'
        left_out += f"; and {len(now.left_out) - 3:,} more</p>" if len(now.left_out) > 3 else "</p>"
    command = f'<p class="pa-note">The same on the command line: <code>{escape(now.command)}</code></p>'
    if now.state == "running":
        share = round(100 * now.share)
        return (
            f'<p role="status">{title}: {escape(now.doing)}, {now.seconds:,.0f} s so far</p>'
            f'<div class="pa-progress" role="progressbar" aria-label="Training" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{share}"><i style="width: {share}%"></i></div>{left_out}'
        )
    if now.state == "done":
        test, count = now.result["test"], now.result["data"]["train"]
        trained = f"trained on {count:,} pictures of {now.result['model']['num_classes']:,} classes"
        return (
            f'<p role="status">{title}: {trained} in {now.seconds:,.0f} s. Of {test["count"]:,} that were held out, '
            f"{test['error']:g} % are told wrong. The run is <code>{escape(str(now.run))}</code>.</p>"
            f"{left_out}{command}"
        )
    return f'<p role="alert">{title}: {escape(now.problem)}</p>'
