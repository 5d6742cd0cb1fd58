"""What every experiment does alike: what it takes, where it writes, and what a run folder says of its training."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from payattention.data.places import data_root
from payattention.errors import CheckpointError, DataError
from payattention.weights.header import RESULT

ROOT = Path(__file__).parent.parent
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder of a trained network, with result.json.", show_default=False)
]
ResultsOption = Annotated[Path, typer.Option(help="Folder to write to.", show_default="results")]
RESULTS, RUNS = ROOT / "results", ROOT / "runs"


def training_of(run: Path) -> dict[str, Any]:
    """The result.json of a run.

    Raises:
        CheckpointError: There is none.
    """
    if not (run / RESULT).is_file():
        raise CheckpointError(f"{run}: no run folder of a finished training (no {RESULT})")
    result: dict[str, Any] = json.loads((run / RESULT).read_text(encoding="utf-8"))
    return result


def archive(name: str) -> Path:
    """An archive in the data root.

    Raises:
        DataError: It is not there.
    """
    file = data_root() / name
    if not file.is_file():
        raise DataError(f"{file}: not there; set PAYATTENTION_DATA to the folder that holds {name}")
    return file


def caltech101() -> AbstractContextManager[Path]:
    """A data root for a while, in which Caltech-101 lies, 30 pictures of each class, from its archive."""
    return _unpacked(caltech101="caltech101-30perclass.zip")


def pets() -> AbstractContextManager[Path]:
    """A data root for a while, in which three breeds of the Oxford pets lie, from their archive."""
    return _unpacked(oxford_pets="oxford-iiit-pet-3breeds.zip")


def caltech101_and_pets() -> AbstractContextManager[Path]:
    """A data root for a while, in which both lie."""
    return _unpacked(caltech101="caltech101-30perclass.zip", oxford_pets="oxford-iiit-pet-3breeds.zip")


def birds() -> AbstractContextManager[Path]:
    """A data root for a while, in which 20 species of CUB-200-2011 lie, from their archive."""
    return _unpacked(cub200="CUB_200_2011-first20.zip")


@contextmanager
def _unpacked(**archives: str) -> Iterator[Path]:
    packed = {folder: archive(name) for folder, name in archives.items()}
    with TemporaryDirectory() as root:
        for folder, file in packed.items():
            with zipfile.ZipFile(file) as zipped:
                zipped.extractall(Path(root, folder))
        yield Path(root)
