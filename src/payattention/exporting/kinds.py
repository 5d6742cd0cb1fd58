"""Kinds of files that a model is exported to: what can be told of one before PyTorch is imported."""

from pathlib import Path

from payattention.errors import UsageError
from payattention.system.extras import check_there
from payattention.system.files import check_new_file
from payattention.system.names import Registry
from payattention.system.text import shown

KINDS: Registry[str] = Registry("kind of file", {"onnx": ".onnx", "torch": ".pt2"})
"""How their names end."""


def kind_of(file: Path, option: str = "") -> str:
    """The kind that a file's name asks for.

    Raises:
        UsageError: It ends otherwise.
    """
    for kind, suffix in KINDS.items():
        if suffix == file.suffix.lower():
            return kind
    raise UsageError(f"{option} {shown(file)}: give it a name that ends in {' or '.join(KINDS.values())}".strip())


def check_export(file: Path, kind: str, *, int8: bool = False, option: str = "") -> None:
    """Raises UsageError where no such file can be written: a wrong name, one that is there, a package that lacks."""
    if int8 and kind != "onnx":
        raise UsageError(f"int8 is of ONNX files, not of {kind}: give the file a name that ends in {KINDS['onnx']}")
    check_new_file(file, KINDS[kind], option=option)
    if kind == "onnx":
        check_there("an ONNX file", "onnx", "onnxruntime", "onnxscript")
