"""The presets, which are the TOML files in `recipes/`, and files of one's own: what each sets, not yet checked."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from payattention.errors import UsageError
from payattention.system.names import check_known

_PRESETS = files("payattention.training") / "recipes"


def list_recipes() -> list[str]:
    """Names of the presets."""
    return sorted(file.name.removesuffix(".toml") for file in _PRESETS.iterdir())


def default_recipe(model: str, frozen: bool = False) -> str:
    """The preset for a model: "modern", or on a timm backbone "probe" where it is frozen and "finetune" where not."""
    if not model.startswith("timm:"):
        return "modern"
    return "probe" if frozen else "finetune"


def settings(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a preset or file sets, on top of what its base does; `above` are those whose base it is."""
    if name in above:
        raise UsageError(f"these recipes are based on each other: {' on '.join([*above, name])}")
    own = _read(name)
    base = own.pop("base", None)
    if is_file(name):
        own.setdefault("summary", f"{base}, changed by {name}" if base else name)
    if base is None:
        return own
    if not isinstance(base, str):
        raise UsageError(f"base is {base!r}: the name of a recipe is needed")
    if is_file(base):
        base = str(Path(name).parent / base)
    below = settings(base, (*above, name))
    if isinstance(own.get("model"), dict) and isinstance(below.get("model"), dict):
        own["model"] = below["model"] | own["model"]
    return below | own


def _read(name: str) -> dict[str, Any]:
    if not is_file(name):
        check_known("recipe", list_recipes(), name)
    try:
        file = Path(name) if is_file(name) else _PRESETS / f"{name}.toml"
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the recipe {name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not even text
        raise UsageError(f"the recipe {name} is not TOML: {error}") from None


def is_file(name: str) -> bool:
    return name.endswith(".toml")
