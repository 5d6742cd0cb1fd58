"""How the page looks: the project's own colours, in light and dark, and the fonts that a machine has."""

from importlib.resources import files

import gradio as gr

from payattention.figures.self_contained import colours

_FIGURES, _HERE = files("payattention.figures"), files("payattention.studio")
_COLOURS = {
    "ground": (
        "body_background_fill",
        "background_fill_primary",
        "input_background_fill",
        "block_background_fill",
        "button_primary_text_color",
    ),
    "raised": ("background_fill_secondary", "button_secondary_background_fill", "block_label_background_fill"),
    "ink": ("body_text_color", "block_title_text_color", "button_secondary_text_color", "block_label_text_color"),
    "faint": ("body_text_color_subdued", "block_info_text_color", "input_placeholder_color"),
    "line": ("border_color_primary", "block_border_color", "input_border_color", "button_secondary_border_color"),
    "accent": (
        *("button_primary_background_fill", "button_primary_background_fill_hover", "slider_color", "color_accent"),
        *("loader_color", "link_text_color", "border_color_accent", "checkbox_background_color_selected"),
        *("input_border_color_focus", "link_text_color_hover", "link_text_color_active", "link_text_color_visited"),
    ),
}
"""By a variable of `figures/colours.css`, what of gradio's has that colour."""


def theme() -> gr.themes.Base:
    """gradio's plainest theme in those colours, which follow the browser's wish for light or dark by themselves."""
    fonts = ("system-ui", "sans-serif")
    plain = gr.themes.Base(font=fonts, font_mono=("ui-monospace", "monospace"), radius_size="sm", text_size="md")
    coloured = {name: f"var(--{colour})" for colour, names in _COLOURS.items() for name in names}
    dark = {f"{name}_dark": value for name, value in coloured.items() if hasattr(plain, f"{name}_dark")}
    return plain.set(**coloured, **dark)


def head() -> str:
    """What stands in the page's head: its style sheet, and the script that draws maps.

    gradio's own place for a style sheet keeps the rules of light and dark from the page's root.
    """
    look = "\n".join(file.read_text(encoding="utf-8") for file in (_FIGURES / "colours.css", _HERE / "studio.css"))
    own = (_FIGURES / "gallery" / "maps.js", _HERE / "viewer.js")
    text = "\n".join(file.read_text(encoding="utf-8") for file in own)
    script = f'var payattention = ((COLOURS) => {{\n{text}\nreturn {{show, strip}};\n}})("{colours()}");'
    return f"<style>{look}</style><script>{script}</script>"
