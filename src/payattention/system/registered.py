"""Names that another package knows its networks by, as they stand in its source.

To look one up there takes a twentieth of the seconds that importing timm takes.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\b.*\n(?:[@ )].*\n)*def (\w+)\(", re.MULTILINE)
"""How timm and torchvision register a network: by a decorator, among others, on the function that builds it."""


@cache
def source(package: str) -> str:
    """The files that hold a package's networks, as one text; "" where it is not installed."""
    spec = find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    return "\n".join(path.read_text("utf-8") for folder in folders for path in Path(folder, "models").glob("*.py"))


@cache
def registered(package: str) -> tuple[str, ...]:
    """The names of its networks."""
    return tuple(_REGISTERED.findall(source(package)))


def mentioned(package: str, name: str) -> bool:
    """Whether a name stands anywhere in these files: of former names, which are no longer registered, it does."""
    return bool(re.search(rf"\b{re.escape(name)}\b", source(package)))
