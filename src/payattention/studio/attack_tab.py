"""Attack: a change that no one sees, and what comes of it."""

import gradio as gr

from payattention.studio.service import Studio


def add(studio: Studio, model: gr.Dropdown) -> None:
    """Adds what stands in the tab."""
