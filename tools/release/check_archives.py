"""Checks what `make release` built: what is in the wheel and in the source archive, and that no link of the long
description is dead.

The wheel holds the package, its weights with their cards, and nothing of the tests, the pages and any data.
"""

import re
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Annotated

import typer

from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.weights.bundled import bundled

MOST = 8_000_000
"""Bytes of the wheel."""
KINDS = {".py", ".pyi", ".typed", ".toml", ".txt", ".css", ".js", ".j2", ".json", ".safetensors", ""}
"""Suffixes of the package's own files: none of them is a picture's or a data set's."""
_LINK = re.compile(r"\]\((?!https://|#)([^)\s]*)|(?:src|href)=\"(?!https://|#)([^\"]*)")


def wrong_in_wheel(wheel: Path) -> list[str]:
    """What should not be as it is, a line each."""
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        description = str(message_from_bytes(opened.read(metadata)).get_payload())
    strange = [n for n in names if not re.match(r"payattention(-[\d.]+\w*\.dist-info)?/", n)]
    strange += [n for n in names if n.startswith("payattention/") and Path(n).suffix not in KINDS]
    needed = [
        f"payattention/weights/bundled/{name}{suffix}" for name in bundled() for suffix in (".safetensors", ".json")
    ]
    lacking = [name for name in [*needed, "payattention/py.typed", "payattention/__init__.pyi"] if name not in names]
    dead = ["".join(found) for found in _LINK.findall(description)]
    size = wheel.stat().st_size
    return [
        *(f"{name} does not belong into it" for name in strange),
        *(f"{name} is missing" for name in lacking),
        *(f"its long description links to {target}, which is nowhere" for target in dead),
        *([] if description.strip() else ["it has no long description"]),
        *([f"it has {size:,} bytes; {MOST:,} at most"] if size > MOST else []),
    ]


def wrong_in_source(archive: Path) -> list[str]:
    """Likewise: all that is needed to build and test it again, and no environment or run."""
    with tarfile.open(archive) as opened:
        names = ["/".join(Path(name).parts[1:]) for name in opened.getnames()]
    needed = ("pyproject.toml", "README.md", "LICENSE", "Makefile", "tests/conftest.py", "docs/models.md")
    strange = [
        name for name in names if name.startswith((".venv", "runs/", "dist/", "shared/")) or "__pycache__" in name
    ]
    return [f"{name} is missing" for name in needed if name not in names] + [
        f"{name} does not belong into it" for name in strange
    ]


def main(
    folder: Annotated[Path, typer.Argument(help="Where wheel and source archive lie, one of each.")] = Path("dist"),
) -> None:
    for pattern, wrong in (("*.whl", wrong_in_wheel), ("*.tar.gz", wrong_in_source)):
        found = sorted(folder.glob(pattern))
        if len(found) != 1:
            raise PayAttentionError(f"{folder}: {len(found)} files are called {pattern}; there should be one")
        if problems := wrong(found[0]):
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise PayAttentionError(f"{found[0].name}: {problems[0]}{more}")
        print(f"{found[0].name}: {found[0].stat().st_size / 1e6:.1f} MB, as it should be")


if __name__ == "__main__":
    run_script(main)
