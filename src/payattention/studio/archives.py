"""The gate of archives: an uploaded .zip becomes a folder of pictures, whose files and folders have numbers for names.

What the archive calls its folders comes back as text (`Unpacked.classes`): no name in it becomes a path here. Nothing
is followed, run or looked into but pictures that are stored or deflated, and no more is unpacked than the limits allow,
whatever the archive says of itself.
"""

import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from payattention.data.readers.folder import MASKS, splits_among
from payattention.errors import DataError
from payattention.pictures.kinds import is_picture, unread_kind
from payattention.studio.uploads import LIMITS, MIB, Limits, megabytes, name_to_show

_OTHERS = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
}
_NESTED = {".zip", ".7z", ".rar", ".gz", ".bz2", ".xz", ".tar", ".tgz"}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for any amount of memory
_END, _END_SIZE, _COMMENT = b"PK\x05\x06", 22, 65_535  # of a zip file's last record (APPNOTE 4.3.16)
_DIRECTORY = 4 * MIB  # bytes of an archive's list of contents: Python reads all of it at once
_DEEPEST, _CHUNK = 8, MIB


@dataclass(frozen=True)
class Unpacked:
    """The pictures of an archive.

    Attributes:
        folder: Where they lie, in the layout of `payattention.data.readers.folder`.
        classes: By a class folder's name there, what the archive calls it.
        pictures: How many there are.
        left_out: What was not unpacked, each in a line that names it.
    """

    folder: Path
    classes: dict[str, str]
    pictures: int
    left_out: list[str] = field(default_factory=list)


def unpacked(archive: Path, into: Path, name: str = "", *, limits: Limits = LIMITS) -> Unpacked:
    """Unpacks the pictures of a .zip file: CLASS/PICTURE, or train/CLASS/PICTURE and test/CLASS/PICTURE.

    One folder around all of it, as most programs pack it, does not count.

    Args:
        archive: The file.
        into: An empty folder; after an error nothing is left in it.
        name: What the uploader calls the archive.
        limits: What is let in.

    Raises:
        DataError: Not a zip file, damaged, locked, too large in any way, with names that lead elsewhere, or without
            pictures in class folders.
    """
    name = name_to_show(name or archive.name)
    _check_kind(archive, name, limits)
    try:
        with zipfile.ZipFile(archive) as opened:
            found, left_out = _chosen(opened.infolist(), name, limits)
            plan = _laid_out(found, name)
            _check_room(into, sum(member.file_size for member in plan.targets.values()), name)
            _write(opened, plan.targets, into, limits.unpacked, name)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, UnicodeError, ValueError) as error:
        _empty(into)
        raise DataError(f"{name}: a damaged archive ({_why(error)}); pack the folder again") from None
    except OSError as error:
        _empty(into)
        raise DataError(f"{name}: cannot be unpacked ({error.strerror or error})") from None
    except BaseException:
        _empty(into)
        raise
    return Unpacked(into, plan.classes, len(plan.targets), [*left_out, *plan.outside])


def _check_kind(archive: Path, name: str, limits: Limits) -> None:
    """Raises DataError for what is no zip file, or one whose list of contents alone would fill the memory."""
    try:
        size = archive.stat().st_size
        if size > limits.upload:
            raise DataError(f"{name}: {megabytes(size)}, and an archive may have at most {megabytes(limits.upload)}")
        with archive.open("rb") as file:
            head = file.read(8)
            file.seek(max(0, size - _END_SIZE - _COMMENT))
            tail = file.read()
    except OSError as error:
        raise DataError(f"{name}: the upload cannot be read ({error.strerror}); choose the archive again") from None
    for magic, kind in _OTHERS.items():
        if head.startswith(magic):
            raise DataError(f"{name}: {kind}, which is not read; pack the folder as .zip")
    place = tail.rfind(_END)
    if not head.startswith(b"PK") or place < 0 or len(tail) < place + _END_SIZE:
        raise DataError(f"{name}: not a .zip archive, or cut off; pack the folder of pictures as .zip")
    for start in (place, len(tail) - _END_SIZE):  # Python takes the one at the very end, if there is one
        record = tail[start : start + _END_SIZE]
        entries, directory = int.from_bytes(record[10:12], "little"), int.from_bytes(record[12:16], "little")
        if record.startswith(_END) and (entries > limits.entries or directory > _DIRECTORY):
            raise _too_many(name, limits)


def _chosen(
    members: list[zipfile.ZipInfo], name: str, limits: Limits
) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], list[str]]:
    """The pictures of an archive by their paths, and what else someone would miss.

    Raises:
        DataError: What nobody packs who means well, or too much of it; or no pictures.
    """
    if len(members) > limits.entries:
        raise _too_many(name, limits)
    found: dict[PurePosixPath, zipfile.ZipInfo] = {}
    left_out: list[str] = []
    for member in members:
        path = _path_of(member, name)
        if member.is_dir() or any(part.startswith((".", "__")) for part in path.parts):
            continue
        if (problem := _problem(member, path, name, limits)) is not None:
            left_out.append(f"{name_to_show(path.name)}: {problem}")
        elif path in found:
            raise DataError(f"{name}: two files are called {name_to_show(path.name)}; pack the folder again")
        elif is_picture(Path(path.name)):
            found[path] = member
    total = sum(member.file_size for member in found.values())
    if total > limits.unpacked:
        raise DataError(
            f"{name}: unpacked it would be {megabytes(total)}, and at most {megabytes(limits.unpacked)} are taken; "
            "pack fewer or smaller pictures"
        )
    if not found:
        why = f" that can be read: {left_out[0]}" if left_out else ""
        raise DataError(f"{name}: no pictures in it{why}")
    return found, left_out


def _path_of(member: zipfile.ZipInfo, name: str) -> PurePosixPath:
    """Where a member says that it lies, which is believed only where it lies inside."""
    text = member.orig_filename.replace("\\", "/")
    path = PurePosixPath(text)
    strange = any(not sign.isprintable() for sign in text)
    if path.is_absolute() or ".." in path.parts or not path.parts or strange or text[1:2] == ":":
        raise DataError(f"{name}: a name in it leads out of the archive ({name_to_show(text)}); nothing was unpacked")
    if len(path.parts) > _DEEPEST:
        raise DataError(f"{name}: folders more than {_DEEPEST} deep; pack the class folders alone")
    return path


def _problem(member: zipfile.ZipInfo, path: PurePosixPath, name: str, limits: Limits) -> str | None:
    """Why a member is left out; None for a picture that is taken, and for what no one would miss."""
    if member.flag_bits & 1:
        raise DataError(f"{name}: locked with a password; pack it without one")
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link, which is not followed"
    if path.suffix.lower() in _NESTED:
        return "an archive within the archive, which is not looked into"
    if not is_picture(Path(path.name)):
        return unread_kind(Path(path.name))
    if member.compress_type not in _METHODS:
        return "packed in a way that is not read; pack it as a usual .zip"
    if member.file_size > limits.picture:
        return f"{megabytes(member.file_size)}, and a picture may have at most {megabytes(limits.picture)}"
    return None


def _laid_out(found: Mapping[PurePosixPath, zipfile.ZipInfo], name: str) -> "_Plan":
    """Where pictures shall lie, under numbers.

    Raises:
        DataError: No class folders.
    """
    found = _without_outer(found)
    splits = splits_among(path.parts[0] for path in found)
    splits = splits if len(splits) > 1 else {}  # one alone is a folder like others
    depth = 1 if splits else 0
    inside = sorted(path for path in found if _in_class(path, depth, splits))
    if not inside:
        raise DataError(f"{name}: its pictures lie in no class folders; put each class's pictures in one of its name")
    names = sorted({path.parts[depth] for path in inside})
    numbers = {own: f"{number:0{len(str(len(names)))}d}" for number, own in enumerate(names)}
    targets = {}
    for number, path in enumerate(inside):
        folder = Path(*(splits[own] for own in path.parts[:depth]), numbers[path.parts[depth]])
        targets[folder / f"{number:06d}{path.suffix.lower()}"] = found[path]
    outside = [f"{name_to_show(path.name)}: lies in no class folder" for path in found.keys() - inside]
    return _Plan(targets, {number: name_to_show(own) for own, number in numbers.items()}, outside)


@dataclass(frozen=True)
class _Plan:
    """What goes where; what the class folders are called, by their numbers; and what goes nowhere."""

    targets: Mapping[Path, zipfile.ZipInfo]
    classes: dict[str, str]
    outside: list[str]


def _in_class(path: PurePosixPath, depth: int, splits: Mapping[str, str]) -> bool:
    """Whether a picture lies in a class folder, in a split's where there are splits; masks are no class."""
    if len(path.parts) <= depth + 1 or (path.parts[0] == MASKS and len(path.parts) > 2):
        return False
    return not splits or path.parts[0] in splits


def _without_outer(found: Mapping[PurePosixPath, zipfile.ZipInfo]) -> Mapping[PurePosixPath, zipfile.ZipInfo]:
    """The same without folders that lie around all of it."""
    while len({path.parts[0] for path in found}) == 1 and any(len(path.parts) > 2 for path in found):
        found = {PurePosixPath(*path.parts[1:]): member for path, member in found.items()}
    return found


def _write(opened: zipfile.ZipFile, targets: Mapping[Path, zipfile.ZipInfo], into: Path, most: int, name: str) -> None:
    """Unpacks, and counts what really comes out."""
    left = most
    for target, member in targets.items():
        (into / target).parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, (into / target).open("xb") as file:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise DataError(f"{name}: it holds more than it says; nothing was unpacked")
                file.write(chunk)


def _check_room(into: Path, needed: int, name: str) -> None:
    into.mkdir(parents=True, exist_ok=True)
    if needed > 0.9 * shutil.disk_usage(into).free:
        raise DataError(f"{name}: there is no room for {megabytes(needed)} on the studio's disk")


def _empty(folder: Path) -> None:
    for entry in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _too_many(name: str, limits: Limits) -> DataError:
    return DataError(f"{name}: more than {limits.entries:,} files; pack fewer pictures")


def _why(error: BaseException) -> str:
    return name_to_show(str(error).replace("/", " ")) or type(error).__name__
