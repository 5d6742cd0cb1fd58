"""Data flows one way: data -> model -> training and evaluation -> experiment and pictures -> command line."""

import ast
from pathlib import Path

import pytest

import payattention

ROOT = Path(payattention.__file__).parent

# from low to high; a room may import from its own and from lower ones
LAYERS = (
    ("errors",),
    ("system",),
    ("pictures",),
    ("data", "attention"),
    ("models",),
    ("weights", "posthoc"),
    ("explaining", "exporting"),
    ("training",),
    ("evaluation",),
    ("runs", "figures", "speed"),
    ("reproduce",),
    ("studio",),
    ("cli",),
)
LAYER = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__main__.py" and path != ROOT / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upwards(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("payattention."):
            imported = node.module.split(".")[1]
            assert LAYER[imported] <= LAYER[room_of(path)], f"line {node.lineno} imports {node.module}"


def test_only_the_calls_that_share_a_model_reach_up_and_by_public_names() -> None:
    reaching = {
        str(path.relative_to(ROOT))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(name.name.split(".")[0] == "payattention" for name in node.names)
    }
    assert reaching == {"models/sharing.py"}
