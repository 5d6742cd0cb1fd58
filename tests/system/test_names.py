"""Every name that a user can give is refused in one way."""

import ast
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import payattention
from payattention.errors import UsageError
from payattention.system.names import Registry, check_known

ROOT = Path(payattention.__file__).parent
BY_HAND = {
    "cli/models.py": "a pattern that no name matches",
    "models/borrowed/from_torchvision.py": "torchvision's own registry",
    "models/timm_backbones/backbone.py": "timm's own registry",
    "system/scripts.py": "a function of a script of the user's, which may define none",
    "system/validation.py": "a field or a choice that pydantic refused",
    "weights/named.py": "the registries of timm and torchvision, as text",
}
"""Modules that say for themselves that a name is unknown, each with what no `Registry` holds."""


def test_every_registry_names_what_is_near() -> None:
    registries: dict[int, Registry[object]] = {}
    for module in walk_packages(payattention.__path__, "payattention."):
        if not module.name.endswith("__main__"):
            found = vars(import_module(module.name)).values()
            registries |= {id(thing): thing for thing in found if isinstance(thing, Registry) and thing}
    assert len(registries) > 12
    for registry in registries.values():
        name = min(registry)
        assert registry[name] is registry.get(name)
        with pytest.raises(UsageError, match=rf"^unknown {registry.kind} '{name}x'; did you mean .*'{name}'"):
            registry[f"{name}x"]
        assert f"{name}x" not in registry, "asking adds nothing"


def test_the_first_unknown_name_is_told_with_all_there_are() -> None:
    check_known("fruit", ("pear", "apple"), "apple", "pear")
    with pytest.raises(UsageError, match=r"^unknown fruit 'zzz'; there are: apple, pear$"):
        check_known("fruit", ("pear", "apple"), "apple", "zzz", "yyy")


def test_nobody_else_says_that_a_name_is_unknown() -> None:
    saying = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "unknown":
                saying.add(str(path.relative_to(ROOT)))
    assert saying == {"system/names.py", *BY_HAND}
