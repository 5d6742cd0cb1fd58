"""Which files are pictures, by name and by content; and which are known, though they are not read."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    }
)
"""Of the pictures that are always read."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
"""In Pillow's words. Nothing else is tried: some of its formats start other programs (EPS)."""

_KNOWN = {
    "a video": ("mp4", "mov", "avi", "mkv", "webm", "m4v", "mpg", "mpeg", "wmv", "3gp", "mts"),
    "a camera's raw file": ("cr2", "cr3", "nef", "arw", "dng", "raf", "orf", "rw2", "pef", "srw"),
    "a HEIC picture": ("heic", "heif", "hif"),
    "a JPEG XL picture": ("jxl",),
    "a DICOM file": ("dcm", "dicom"),
    "a drawing": ("svg", "eps", "ai", "pdf"),
    "a program's own picture": ("psd", "xcf", "kra", "afphoto"),
    "a picture of another kind": ("ico", "tga", "exr", "hdr", "dds", "pcx", "jxr", "bpg", "qoi", "icns", "nii"),
}
_KIND = {f".{suffix}": kind for kind, suffixes in _KNOWN.items() for suffix in suffixes}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # of ISO/IEC 23008-12
_APPLE_DOUBLE = b"\x00\x05\x16\x07"


def is_picture(file: Path) -> bool:
    """Whether a file's name is a picture's; not what macOS keeps beside each file on other disks (`._cat.jpg`)."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith("._")


def is_known(file: Path) -> bool:
    """Whether someone who gives a folder of pictures would miss this file, which may not be readable here."""
    return file.suffix.lower() in _KIND and not file.name.startswith("._")


def not_read(content: bytes, name: str) -> str:
    """Why a content that is none of `FORMATS` is not read."""
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        return "a HEIC picture needs the package pillow-heif: pip install 'payattention[heif]'"
    if content.startswith(_APPLE_DOUBLE):
        return "not a picture: macOS keeps a file's attributes in it; the picture is the file without ._"
    kind = _KIND.get(Path(name).suffix.lower())
    if kind is not None:
        return f"{kind}, which is not read; convert it to one of {', '.join(FORMATS)}"
    return f"not a picture ({', '.join(FORMATS)})"


@cache
def formats() -> tuple[str, ...]:
    """`FORMATS`, those of them that this Pillow was built with, and HEIC where pillow-heif is installed."""
    from PIL import features

    optional = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
    own = tuple(name for name in FORMATS if name not in optional or features.check(optional[name]))
    if find_spec("pillow_heif") is None:
        return own
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return (*own, "HEIF")
