"""Files that nobody means well with, for `studio.py`: real ones, damaged in every way, and ones made by hand."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Hostile:
    """A file as it is sent.

    Attributes:
        kind: What it is, for the table of answers.
        name: What it is called.
        content: Its bytes.
        function: The page's function that it is sent to, "look" or "train"; or "place" where nothing is sent, and the
            name is said to be where a file lies on the server.
    """

    kind: str
    name: str
    content: bytes
    function: str = "look"


FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "tif": "TIFF", "bmp": "BMP", "jp2": "JPEG2000"}
NAMES = (
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/cron.d/x.png",
    "a\x00b.png",
    "a\r\nSet-Cookie: x=1.png",
    "CON.png",
    ".png",
    "..",
    "x" * 5000 + ".png",
    "\u202egnp.exe",
    "<img src=x onerror=alert(1)>.png",
    "file:///etc/passwd",
    "http://127.0.0.1:1/a.png",
)


def hostile_uploads(count: int, pictures: list[Image.Image]) -> Iterator[Hostile]:
    """So many, the same ones every time: by turns a real file that was damaged, one made by hand, and an odd name."""
    by_hand, archives = list(_by_hand()), list(_archives())
    files = [(suffix, _encoded(own, kind)) for own in pictures for suffix, kind in FORMATS.items()]
    for number in range(count):
        random = np.random.default_rng(number)
        suffix, content = files[random.integers(len(files))]
        match number % 4:
            case 0 | 1:
                yield _damaged(random, suffix, content)
            case 2:
                yield by_hand[number // 4 % len(by_hand)]
            case _:
                turn = number // 4
                name = NAMES[turn // 2 % len(NAMES)]
                odd = Hostile("a real picture with an odd name", name, content)
                yield archives[turn // 2 % len(archives)] if turn % 2 else odd


def _encoded(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def _damaged(random: np.random.Generator, suffix: str, content: bytes) -> Hostile:
    values = np.frombuffer(content, np.uint8).copy()
    way = int(random.integers(5))
    if way == 0:
        values = values[: random.integers(len(values))]
    elif way == 1:
        places = random.integers(0, min(len(values), 400), 8)  # the head, where sizes and tables stand
        values[places] = random.integers(0, 256, 8)
    elif way == 2:
        places = random.integers(0, len(values), 200)
        values[places] = random.integers(0, 256, 200)
    elif way == 3:
        start = random.integers(len(values))
        values = np.concatenate([values[:start], np.zeros(5000, np.uint8), values[start:]])
    else:
        values = random.integers(0, 256, random.integers(1, 5000)).astype(np.uint8)
        values[: min(8, len(values))] = np.frombuffer(content[:8], np.uint8)[: len(values)]
    other = list(FORMATS)[random.integers(len(FORMATS))] if random.random() < 0.2 else suffix
    ways = ("cut off", "a damaged head", "damaged", "zeros within", "noise behind a head")
    return Hostile(f"a real picture, {ways[way]}", f"{way}.{other}", values.tobytes())


def _by_hand() -> Iterator[Hostile]:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    for name in ("a.svg", "a.png"):
        yield Hostile("SVG", name, f"{svg}<script>alert(1)</script></svg>".encode())
        yield Hostile("SVG", name, f'{svg}<image xlink:href="http://127.0.0.1:1/"/></svg>'.encode())
    laughs = "".join(f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(9))
    yield Hostile("XML bomb", "a.svg", f'<!DOCTYPE a [<!ENTITY a0 "a">{laughs}]>{svg}&a9;</svg>'.encode())
    yield Hostile("HTML", "a.html", b"<!doctype html><script>alert(document.cookie)</script>")
    yield Hostile("HTML", "a.jpg", b"<!doctype html><script>alert(document.cookie)</script>")
    yield Hostile("PostScript", "a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n")
    yield Hostile("PDF", "a.png", b"%PDF-1.7\n1 0 obj<</OpenAction<</S/Launch/F(sh)>>>>endobj\n")
    yield Hostile("program", "a.png", b"\x7fELF\x02\x01\x01" + bytes(2000))
    yield Hostile("pickle", "a.pt", b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    yield Hostile("empty", "a.png", b"")
    yield Hostile("one byte", "a.jpg", b"\xff")
    for sides in ((2**31 - 1, 2**31 - 1), (65_000, 65_000), (1, 2**30), (8_001, 8_000)):
        yield Hostile("pixel bomb", "a.png", _png(*sides, b""))
    yield Hostile("pixel bomb", "a.png", _png(9_000, 9_000, bytes(60_000_000)))
    yield Hostile("pixel bomb", "a.gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(60))
    yield Hostile(
        "pixel bomb", "a.bmp", b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 60_000, 60_000, 1, 24) + bytes(40)
    )
    yield Hostile("text bomb", "a.png", _png(4, 4, bytes(64), b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000))))
    yield Hostile(
        "a directory that leads to itself", "a.tif", b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"
    )
    yield Hostile("a long and thin picture", "a.png", _png(1, 60_000, bytes(4 * 60_000)))
    yield Hostile("too many bytes", "a.png", bytes(49 * 2**20))


def _png(width: int, height: int, pixels: bytes, kind: bytes = b"", extra: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    more = chunk(kind, extra) if kind else b""
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")


def _archives() -> Iterator[Hostile]:
    picture = _encoded(Image.new("RGB", (8, 8), "red"), "PNG")

    def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        place = io.BytesIO()
        with zipfile.ZipFile(place, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return place.getvalue()

    def sent(kind: str, content: bytes, name: str = "a.zip") -> Hostile:
        return Hostile(f"archive: {kind}", name, content, "train")

    yield sent("leads out", packed({"../../cat/a.png": picture}))
    yield sent("leads out", packed({"/etc/cat/a.png": picture}))
    yield sent("leads out", packed({"C:\\cat\\a.png": picture}))
    yield sent("bomb", packed({f"cat/{k}.bmp": bytes(40_000_000) for k in range(30)}))
    yield sent("many files", packed({f"cat/{k}.png": b"" for k in range(20_001)}))
    yield sent("archives within", packed({"cat/a.zip": packed({"b.zip": packed({"c.png": picture})})}))
    yield sent("other packing", packed({"cat/a.png": picture}, zipfile.ZIP_LZMA))
    yield sent("no classes", packed({"a.png": picture}))
    yield sent("no pictures", packed({"cat/a.txt": b"a"}))
    yield sent("cut off", packed({"cat/a.png": picture, "dog/a.png": picture})[:-40])
    yield sent("damaged", packed({"cat/a.png": picture}, zipfile.ZIP_STORED).replace(b"IDAT", b"IDAX", 1))
    yield sent("no archive", picture)
    yield sent("another kind", b"Rar!\x1a\x07\x00" + bytes(100))
    yield sent("empty", b"")
    for place in (
        "/etc/passwd",
        "/proc/self/environ",
        "../../etc/passwd",
        "http://127.0.0.1:1/a.png",
        "file:///etc/passwd",
    ):
        yield Hostile("a place on the server", place, b"", "place")
