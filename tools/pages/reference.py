"""What the code says of itself, for docs/command-line.md and docs/python.md: each verb's help, each name's."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer

import payattention
from markdown_table import markdown_table
from payattention.cli.app import app

ROOT_MODULE = payattention.__name__
MODULES = (
    "payattention.attention",
    "payattention.data",
    "payattention.errors",
    "payattention.evaluation",
    "payattention.evaluation.attack",
    "payattention.evaluation.attacks",
    "payattention.evaluation.calibration",
    "payattention.evaluation.metrics",
    "payattention.evaluation.transfer",
    "payattention.explaining.guided_filter",
    "payattention.figures.gallery",
    "payattention.posthoc",
    "payattention.reproduce",
    "payattention.runs.config",
    "payattention.runs.experiment",
    "payattention.speed",
    "payattention.training.recipe",
)
"""Those whose names are for everyone, beside the names of `payattention` itself."""


def names() -> str:
    """A table of the package's own names."""
    rows = [[f"`pa.{name}`", _first_line(getattr(payattention, name))] for name in public_names()]
    return markdown_table(["name", "what it is"], rows, words=2)


def modules() -> str:
    """A table of the modules beside it."""
    rows = [[f"`{name}`", _first_line(import_module(name))] for name in MODULES]
    return markdown_table(["module", "what it is"], rows, words=2)


def public_names() -> list[str]:
    return sorted((name for name in dir(payattention) if not name.startswith("_")), key=str.lower)


def verbs() -> str:
    """A table of the verbs."""
    rows = [[f"`{name}`", " ".join((verb.help or "").partition("\n\n")[0].split())] for name, verb in _verbs()]
    return markdown_table(["verb", "what it does"], rows, words=2)


def options() -> str:
    """Every verb's help: how it is called, what it does, a table of its arguments and options."""
    return "\n\n".join(_described(name, verb) for name, verb in _verbs())


def directives(name: str) -> str:
    """What mkdocstrings makes a module's documentation of; of the package's own names, each by itself."""
    if name != payattention.__name__:
        return f"# `{name}`\n\n::: {name}\n"
    listed = (f"::: {_home(public)}\n    options:\n      heading: pa.{public}\n" for public in public_names())
    return "\n".join(["# `payattention`\n\n`import payattention as pa`\n", *listed])


def _verbs() -> Iterator[tuple[str, Any]]:
    yield from typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]


def _described(name: str, verb: Any) -> str:
    called = f"payattention {name}"
    context = verb.make_context(called, [], resilient_parsing=True)
    usage = " ".join([called, *verb.collect_usage_pieces(context)])
    said = (parameter.get_help_record(context) for parameter in verb.get_params(context))
    rows = [[f"`{' '.join(option.split())}`", _plain(text)] for option, text in filter(None, said)]
    return f"## `{name}`\n\n{verb.help}\n\n```text\n{usage}\n```\n\n{markdown_table(['option', 'what it is'], rows, 2)}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_line(thing: object) -> str:
    return _plain((inspect.getdoc(thing) or "").partition("\n\n")[0])


def _home(name: str) -> str:
    """Where a name of the package is defined."""
    thing = getattr(payattention, name)
    return f"{thing.__module__}.{thing.__qualname__}"
