"""The page: a model above, and below it a tab for each thing that one can do."""

from typing import NoReturn

import fastapi
import gradio as gr
from gradio import processing_utils

from payattention import __version__
from payattention.studio import attack_tab, folder_tab, look_tab, query_tab, training_tab
from payattention.studio.service import Studio
from payattention.studio.theme import head, theme

_KEPT = (600, 3600)
"""Seconds: how often uploads are looked through, and how old those are that go."""


def page(studio: Studio) -> gr.Blocks:
    """The page of a studio, not served yet."""
    with gr.Blocks(title="payattention studio", analytics_enabled=False, delete_cache=_KEPT, fill_width=True) as blocks:
        gr.HTML('<h1>payattention <span class="pa-faint">where does a network look?</span></h1>', elem_id="pa-head")
        names = studio.models()
        model = gr.Dropdown(names, value=names[0], label="Model", elem_id="pa-model", allow_custom_value=True)
        blocks.load(lambda: gr.Dropdown(studio.models()), None, model, api_visibility="private", show_progress="hidden")
        with gr.Tabs() as tabs:
            with gr.Tab("Look", id="look"):
                look_tab.add(studio, model)
            with gr.Tab("Query", id="query"):
                query_tab.add(studio, model)
            with gr.Tab("Attack", id="attack"):
                attack_tab.add(studio, model)
            with gr.Tab("Folder", id="folder"):
                folder_tab.add(studio, model)
            with gr.Tab("Train", id="train"):
                training_tab.add(studio, model, tabs)
        gr.HTML(f"<footer>payattention {__version__}. Nothing leaves this machine.</footer>", elem_id="pa-foot")
    blocks.queue(max_size=studio.bounds.waiting, default_concurrency_limit=2, api_open=False)
    return blocks


def application(studio: Studio, auth: tuple[str, str] | None) -> fastapi.FastAPI:
    """The page as a web application."""
    processing_utils.async_ssrf_protected_get = _refuse
    outer = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    return gr.mount_gradio_app(
        outer,
        page(studio),
        path="/",
        auth=auth,
        auth_message="Whoever started this page has set a name and a password.",
        allowed_paths=[],
        max_file_size=studio.bounds.upload.upload,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        show_error=True,
        theme=theme(),
        head=head(),
    )


async def _refuse(address: str) -> NoReturn:
    """In place of gradio's own, which fetches what a question names by an address."""
    raise gr.Error("addresses are not fetched: send the picture itself", print_exception=False)
