"""Pictures that a user names, as files or by their folder: which they are, and what beside them is not read."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from payattention.errors import DataError, none_of
from payattention.pictures.kinds import LONG_READ, is_picture, unread_kind
from payattention.pictures.reading import decode_picture, quiet
from payattention.system.machine import chosen_threads
from payattention.system.text import shown
from payattention.system.workers import in_order

_RESULTS = ("manifest.json", "result.json")  # what is written last beside pictures of maps
_BYTES = 1 << 20


@dataclass(frozen=True)
class Named:
    """What a user named.

    Attributes:
        files: The pictures, each with whether it was named itself.
        left_out: What lies beside them in folders and is not read, with why.
    """

    files: Mapping[Path, bool]
    left_out: Mapping[Path, str]

    def __or__(self, other: "Named") -> "Named":
        return Named({**self.files, **other.files}, {**self.left_out, **other.left_out})

    @property
    def themselves(self) -> "Named":
        """Only the pictures that were named themselves."""
        return Named({file: itself for file, itself in self.files.items() if itself}, {})


@dataclass(frozen=True)
class Inside:
    """What a folder holds, also in the folders in it.

    Attributes:
        pictures: The folder's own, then those of the folders in it, in order of name.
        left_out: Files and folders that someone would miss, each with why it is not read.
        folders: Those that were looked into.
    """

    pictures: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)


def picture_files(paths: Sequence[Path]) -> Named:
    """The pictures that files and folders name.

    Raises:
        DataError: A missing path, or a folder without pictures.
    """
    found: dict[Path, bool] = {}
    left_out: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            inside = _pictures_of(path)
            found.update(dict.fromkeys(inside.pictures, False) | {f: True for f in inside.pictures if f in found})
            left_out.update(inside.left_out)
        elif not path.exists():
            raise DataError(f"{shown(path)}: no such file")
        else:
            found[path] = True
    return Named(found, left_out)


def listed_pictures(content: bytes, *, null: bool = False) -> Named:
    """The pictures that a list names, a path a line (or, with `null`, a path between two NUL bytes).

    Of a list as of a folder, what cannot be read is left out.

    Raises:
        DataError: No path in it.
    """
    lines = content.split(b"\0") if null else content.splitlines()
    paths = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    if not paths:
        raise DataError("the list of pictures on standard input is empty")
    found: dict[Path, bool] = {}
    left_out: dict[Path, str] = {}
    for path in paths:
        try:
            named = picture_files([path])
        except (DataError, OSError, ValueError) as error:
            left_out[path] = str(error)
        else:
            found.update(dict.fromkeys(named.files, False))
            left_out.update(named.left_out)
    return Named(found, left_out)


def pictures_in(path: Path) -> list[Path]:
    """A folder's own picture files, by their suffix, in order of name; links that lead nowhere among them."""
    return [file for file in _in_order(path) if is_picture(file) and not file.is_dir()]


def looked_through(folder: Path, without: Collection[Path] = ()) -> Inside:
    """A folder's pictures and those of the folders in it, and what else someone would miss.

    Hidden folders and those that systems add (`.git`, `__MACOSX`, `@eaDir`) are passed over.

    Args:
        folder: Where to look.
        without: Folders not to look into.

    Raises:
        OSError: The folder itself cannot be read.
    """
    inside = Inside()
    _look(folder, inside, {path.resolve() for path in without})
    return inside


def unreadable(named: Named, strict: bool = False, *, channels: int = 3) -> dict[Path, str]:
    """What of folders is not read, with why: every picture is decoded once before anything is written.

    Raises:
        DataError: A picture that was named itself and cannot be read; no picture can be; or, with `strict`, anything.
    """
    skipped, attempted = dict(named.left_out), partial(_problem, channels=channels)
    for file, problem in zip(named.files, in_order(attempted, named.files, chosen_threads()), strict=True):
        if problem is not None and named.files[file]:
            raise problem
        if problem is not None:
            skipped[file] = str(problem)
    if not named.files.keys() - skipped.keys():
        raise none_of("the pictures", "read", next(iter(skipped.values())))
    if strict and skipped:
        raise DataError(f"{next(iter(skipped.values()))}{f' (and {len(skipped) - 1} more)' * (len(skipped) > 1)}")
    return skipped


def _pictures_of(path: Path) -> Inside:
    try:
        inside = looked_through(path)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    if not inside.pictures:
        others = f" that can be read: {next(iter(inside.left_out.values()))}" if inside.left_out else ""
        raise DataError(f"{shown(path)}: no pictures in this folder or in the folders in it{others}")
    return inside


def _look(folder: Path, inside: Inside, passed: set[Path]) -> None:
    """Adds a folder, then the folders in it; one that links lead to again is looked into once."""
    passed.add(folder.resolve())
    entries = sorted(folder.iterdir())
    inside.folders.append(folder)
    inside.pictures.extend(pictures_in(folder))
    for entry in entries:
        if not _is_folder(entry):
            if (kind := unread_kind(entry)) is not None:
                inside.left_out[entry] = f"{shown(entry)}: {kind}"
        elif not entry.name.startswith((".", "__", "@")) and entry.resolve() not in passed:
            _look_within(entry, inside, passed)


def _look_within(folder: Path, inside: Inside, passed: set[Path]) -> None:
    if _is_ours(folder):
        inside.left_out[folder] = f"{shown(folder)}: results of payattention, not looked into"
        return
    try:
        _look(folder, inside, passed)
    except OSError as error:
        inside.left_out[folder] = f"{shown(folder)}: cannot be read ({error.strerror})"


def _in_order(path: Path) -> list[Path]:
    """By name; but what earlier versions did not read comes last, so that every fifth is the same as then."""
    return sorted(path.iterdir(), key=lambda file: (file.suffix.lower() not in LONG_READ, file))


def _is_folder(entry: Path) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds maps that were written here, or a run."""
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return True
    for name in _RESULTS:
        try:
            with (folder / name).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _BYTES))
                if b'"provenance"' in file.read(_BYTES):
                    return True
        except OSError:
            continue
    return False


def _problem(file: Path, channels: int) -> DataError | None:
    try:
        with quiet:
            decode_picture(file, near=1, channels=channels)  # all of the file, as few of its pixels as can be
    except DataError as error:
        return error
    return None
