"""Text that leaves the program: what is printed and written is Unicode, whatever bytes a file's name holds.

A name of bytes that are not UTF-8 reaches Python with surrogates in their place, which no file, terminal or other
program takes. And a terminal's own encoding may lack what is printed.
"""

import codecs
import json
import os
import re
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any

_BYTE = re.compile("[\udc80-\udcff]+")
_LONE = re.compile("[\ud800-\udfff]")
_SHOWN = "payattention.shown"


def readable(text: str) -> str:
    """The text, with U+FFFD for each byte or surrogate that is no character."""
    text = _BYTE.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), text)
    return _LONE.sub("\ufffd", text)


def shown(path: Path) -> str:
    """A path as text that can be printed and written, whatever bytes its name holds."""
    return readable(str(path))


def as_json(value: Any, *, ascii_only: bool = False, allow_nan: bool = False) -> str:
    """A value as indented JSON.

    Raises:
        ValueError: It holds NaN or an infinite number, which JSON has not, unless they are allowed.
    """
    text = readable(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=allow_nan))
    return json.dumps(json.loads(text), indent=2) if ascii_only else text


def open_streams() -> None:
    """Makes standard output and error take any text, and stand where the caller has closed them (`>&-`).

    What a stream's encoding lacks is written as `\\u2192`; what is written to a closed one is lost, as was wished. The
    descriptor is taken, too: the next file that is opened would else get its number, and whatever is printed below
    Python.
    """
    codecs.register_error(_SHOWN, _instead)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_SHOWN)


def _instead(error: UnicodeError) -> tuple[str | bytes, int]:
    """For what an encoding lacks: the character that stands for none, or its number where that lacks, too."""
    assert isinstance(error, UnicodeEncodeError)
    text = readable(error.object[error.start : error.end])
    if error.encoding.lower().startswith("utf"):
        return text.encode(error.encoding), error.end  # bytes: of texts the codec takes only ASCII
    return text.replace("\ufffd", "?").encode("ascii", "backslashreplace").decode("ascii"), error.end


def _nowhere() -> TextIOWrapper:
    return Path(os.devnull).open("w", encoding="utf-8")


def first_line(error: BaseException) -> str:
    """What another package's error says, as far as a message of one line has room for it."""
    return str(error).strip().partition("\n")[0]
