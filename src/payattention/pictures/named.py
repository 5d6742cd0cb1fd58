"""Pictures that a user names, as files or by their folder."""

from collections.abc import Sequence
from pathlib import Path

from payattention.errors import DataError
from payattention.pictures.kinds import is_picture
from payattention.pictures.reading import read_picture, shown
from payattention.system.machine import chosen_threads
from payattention.system.workers import in_order


def picture_files(paths: Sequence[Path]) -> dict[Path, bool]:
    """The pictures that files and folders name, each with whether it was named itself.

    Raises:
        DataError: A missing path, or a folder without pictures.
    """
    found: dict[Path, bool] = {}
    for path in paths:
        if path.is_dir():
            inside = pictures_in(path)
            if not inside:
                raise DataError(f"{path}: no pictures in this folder")
            found.update(dict.fromkeys(inside, False) | {f: True for f in inside if f in found})
        elif not path.exists():
            raise DataError(f"{shown(path)}: no such file")
        else:
            found[path] = True
    return found


def pictures_in(path: Path) -> list[Path]:
    """The picture files of a folder, by their suffix, in order of name; links that lead nowhere among them."""
    return sorted(file for file in path.iterdir() if is_picture(file) and not file.is_dir())


def unreadable(files: dict[Path, bool]) -> dict[Path, str]:
    """Decodes every picture once before anything is written; the unreadable ones of folders, with why."""
    skipped: dict[Path, str] = {}
    for file, problem in zip(files, in_order(_problem, files, chosen_threads()), strict=True):
        if problem is not None and files[file]:
            raise problem
        if problem is not None:
            skipped[file] = str(problem)
    if len(skipped) == len(files):
        raise DataError(f"none of the pictures can be read: {next(iter(skipped.values()))}")
    return skipped


def _problem(file: Path) -> DataError | None:
    try:
        read_picture(file)
    except DataError as error:
        return error
    return None
