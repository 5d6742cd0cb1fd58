"""What has not been run, and why: the runner notes it for the report, whose own machine plays no part."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from payattention.errors import DataError
from payattention.reproduce.results import NOT_RUN
from payattention.system.files import write_json


def write_stock(folder: Path, machine: str, reasons: Mapping[str, str]) -> None:
    """Notes the cells that have no result, each with the reason, as a machine sees them."""
    write_json(folder / NOT_RUN, {"machine": machine, "cells": dict(sorted(reasons.items()))})


def read_stock(folder: Path) -> Mapping[str, str]:
    """The reasons by cell; none where nothing was noted.

    Raises:
        DataError: A broken file.
    """
    file = folder / NOT_RUN
    if not file.is_file():
        return {}
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        return {str(cell): str(reason) for cell, reason in content["cells"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise DataError(f"{file}: broken; `payattention reproduce --minutes 0` writes it anew") from None
