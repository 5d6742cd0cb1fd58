"""Query: a second picture asks where to look in the first."""

import gradio as gr

from payattention.studio.service import Studio


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab."""
