"""Which files are pictures, by name and by content; and which are known, though they are not read."""

from functools import cache
from pathlib import Path

from payattention.system.extras import missing

LONG_READ = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
"""Suffixes of the pictures that every version has read."""
SUFFIXES = LONG_READ | {
    *(".jpe", ".jfif", ".mpo", ".apng", ".dib", ".pbm", ".pnm"),
    *(".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".heic", ".heif", ".hif"),
}
"""Suffixes of pictures; HEIC needs a package beside."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
"""In Pillow's words. Nothing else is tried: some of its formats start other programs (EPS)."""

_KNOWN = {
    "a video": ("mp4", "mov", "avi", "mkv", "webm", "m4v", "mpg", "mpeg", "wmv", "3gp", "mts"),
    "a camera's raw file": ("cr2", "cr3", "nef", "arw", "dng", "raf", "orf", "rw2", "pef", "srw"),
    "a JPEG XL picture": ("jxl",),
    "a DICOM file": ("dcm", "dicom"),
    "a drawing": ("svg", "eps", "ai", "pdf"),
    "a program's own picture": ("psd", "xcf", "kra", "afphoto"),
    "a picture of another kind": ("ico", "tga", "exr", "hdr", "dds", "pcx", "jxr", "bpg", "qoi", "icns", "nii"),
}
_KIND = {f".{suffix}": kind for kind, suffixes in _KNOWN.items() for suffix in suffixes}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}  # brands of ISO/IEC 23008-12
_APPLE_DOUBLE = b"\x00\x05\x16\x07"


def is_picture(file: Path) -> bool:
    """Whether a file's name is a picture's; not what macOS keeps beside each file on other disks (`._cat.jpg`)."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith("._")


def unread_kind(file: Path) -> str | None:
    """Why a file is not read that someone who gives a folder of pictures would miss; None for all others."""
    kind = _KIND.get(file.suffix.lower())
    if kind is None or file.name.startswith("._"):
        return None
    return f"{kind}, which is not read; save what it shows as JPEG or PNG"


def not_read(content: bytes) -> str:
    """Why a content that is none of `formats` is not read."""
    if content[4:12] == b"ftypavif" and "AVIF" not in formats():
        return "an AVIF picture needs a Pillow that was built with it: pip install --upgrade pillow"
    if content.startswith(_APPLE_DOUBLE):
        return "not a picture: macOS keeps a file's attributes in it; the picture is the file without ._"
    return f"not a picture ({', '.join(FORMATS)})"


def lacks_heif(content: bytes) -> str | None:
    """Which package is missing to read a content that is HEIC, in a line; None where it is not HEIC, or can be read."""
    if "HEIF" in formats() or content[4:8] != b"ftyp" or not _HEIC & _brands(content):
        return None
    return missing("a HEIC picture", "pillow_heif")


def _brands(content: bytes) -> set[bytes]:
    """Of a file that begins with an `ftyp` box: the kinds that it says it is."""
    box = content[8 : min(int.from_bytes(content[:4]), 256)]
    return {box[place : place + 4] for place in range(0, len(box), 4)}


@cache
def formats() -> tuple[str, ...]:
    """`FORMATS`, those of them that this Pillow was built with, and HEIC where pillow-heif is installed."""
    from PIL import features

    optional = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
    own = tuple(name for name in FORMATS if name not in optional or features.check(optional[name]))
    if missing("HEIC", "pillow_heif"):
        return own
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return (*own, "HEIF")
