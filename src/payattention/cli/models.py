"""`payattention models`."""

import json
from typing import Annotated, Any

import typer

from payattention.cli.options import JsonOption, WidthOption


def models(
    pattern: Annotated[str, typer.Argument(help="Glob pattern, e.g. 'vgg_att2*'.")] = "*",
    classes: Annotated[int, typer.Option(help="Number of classes that parameters are counted for.")] = 10,
    width: WidthOption = 1.0,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Those that come with payattention, trained, for every verb.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the networks, or one with its options.

    A single network (or timm:NAME) is shown with the options that --set of `payattention train` takes.
    """
    if pretrained:
        _print_pretrained(pattern, as_json)
        return
    from payattention.cli.output import print_json, print_table
    from payattention.models import create_model, entry, list_models
    from payattention.models.without_values import without_values
    from payattention.system.names import unknown

    names = [pattern] if pattern.startswith("timm:") else list_models(pattern)
    if not names:
        raise unknown("model", pattern, list_models())
    rows: list[dict[str, Any]] = []
    for name in names:
        with without_values():
            model = create_model(name, classes, width)
        rows.append(
            {
                "model": name,
                "parameters": sum(p.numel() for p in model.parameters()),
                "maps": list(model.levels),
                "summary": entry(name).summary,
                "options": {k: v for k, v in entry(name).options.items() if k not in entry(name).lacks},
            }
        )
    if as_json:
        print_json({"classes": classes, "width": width, "models": rows})
    else:
        print_table(
            ("model", "parameters", "maps", "what it is"),
            [(r["model"], r["parameters"], " ".join(r["maps"]) or "-", r["summary"]) for r in rows],
        )
        if len(rows) == 1:
            options = rows[0]["options"]
            print_table(("--set option", "default"), [(name, json.dumps(value)) for name, value in options.items()])


def _print_pretrained(pattern: str, as_json: bool) -> None:
    from payattention.cli.output import print_json, print_table
    from payattention.system.names import unknown
    from payattention.weights.bundled import bundled, card

    cards = [card(name) for name in bundled(pattern)]
    if not cards:
        raise unknown("model", pattern, bundled())
    if as_json:
        print_json({"models": [one.model_dump() for one in cards]})
        return
    print_table(
        ("model", "test error %", "MB", "what it is"),
        [(one.name, one.error, f"{one.size / 1e6:.1f}", one.summary) for one in cards],
    )
    for lacking in filter(None, (one.lacks for one in cards)):
        print(lacking)
