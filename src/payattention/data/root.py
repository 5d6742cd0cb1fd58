"""Where data lies: `--data-root`, else the environment variable PAYATTENTION_DATA, else ~/.cache/payattention."""

import os
from pathlib import Path

VARIABLE = "PAYATTENTION_DATA"


def data_root(root: Path | None = None) -> Path:
    """The folder that holds data sets."""
    return root or Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "payattention")


def located(path: Path, root: Path | None = None) -> Path:
    """A data set's path: as it stands if it exists, else below the data root."""
    below = data_root(root) / path
    return below if not path.exists() and below.exists() else path
