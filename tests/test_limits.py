"""A function fits on a screen and takes few things: 60 lines and 8 parameters at most, but where it says why not."""

import ast
from collections.abc import Iterator
from pathlib import Path

import payattention

ROOT = Path(payattention.__file__).parent
LINES, PARAMETERS = 60, 8
EXCEPTIONS = {
    "evaluation/comparison/table.py compare": "public: each option is a keyword of its own",
    "data/load.py load_data": "public, and a notebook's first call: each option is a keyword of its own",
    "explaining/explain.py explain": "likewise",
}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All but the verbs, whose parameters are the command line's options with their help."""
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        if place.parts[0] != "cli":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{place} {node.name}", node


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without `self`; `**options` are the fields of one object (`AttentionOptions`), as users write them."""
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([own for own in named if own.arg not in ("self", "cls")]) + (arguments.vararg is not None)


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_is_long_or_takes_many_things() -> None:
    beyond = {name for name, node in functions() if lines(node) > LINES or parameters(node) > PARAMETERS}
    assert beyond == EXCEPTIONS.keys()
