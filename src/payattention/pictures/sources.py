"""A picture in whatever form people have it: a file, its bytes, an open file, Pillow's picture, an array, a tensor."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention.errors import DataError, UsageError
from payattention.pictures.depth import eight_bits
from payattention.pictures.reading import read_picture
from payattention.system.files import at_home
from payattention.system.text import shown

if TYPE_CHECKING:
    import torch


class OpenFile(Protocol):
    """Something that was opened in binary mode."""

    def read(self) -> bytes:
        """All that is left of it."""


Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | OpenFile | Image.Image | NDArray[Any] | torch.Tensor"
)
"""One picture. Arrays are (H, W), (H, W, 1 | 3 | 4), tensors (H, W), (1 | 3 | 4, H, W); whole numbers are 0 ... 255 (of
16 bits: up to their greatest), floats 0 ... 1."""
Sources: TypeAlias = "Source | Sequence[Source]"
"""One picture or several: a list, a folder, an array (N, H, W, 3), a tensor (N, 3, H, W)."""

_SLACK = 0.05  # by which floats may leave 0 ... 1: what resampling adds
_CHANNELS = (1, 3, 4)
_ASKED = "a picture is a file, bytes, an open file, a PIL picture, an array (H, W, 3) or a tensor (3, H, W)"


def picture_of(source: Source, name: str = "", *, channels: int = 3) -> Image.Image:
    """One picture, upright, in 8 bits: RGB, or of other channels; the same pixels in whatever form it comes.

    Args:
        source: The picture; floats are rounded to 8 bits, as a file would hold them.
        name: What to call it in an error; by default what it is called itself.
        channels: 3 for RGB, 1 for grey, 4 for four bands.

    Raises:
        UsageError: Not a picture: another type, shape, dtype or range of values.
        DataError: A file that cannot be read, or a picture without pixels.
    """
    name = name or name_of(source) or "picture"
    if isinstance(source, str | os.PathLike):
        return read_picture(_file(source), name, channels=channels)
    if isinstance(source, bytes | bytearray | memoryview):
        return read_picture(bytes(source), name, channels=channels)
    if isinstance(source, Image.Image):
        return read_picture(source, name, channels=channels)
    if isinstance(source, np.ndarray | np.generic):
        return read_picture(_from_array(np.asarray(source), name), name, channels=channels)
    if _is_tensor(source):
        return read_picture(_from_array(_channels_last(source, name), name), name, channels=channels)
    if hasattr(source, "read"):
        return read_picture(_all_of(source, name), name, channels=channels)
    raise UsageError(f"{name}: {_ASKED}; got {type(source).__name__}")


def several(sources: Sources) -> Sequence[Source] | None:
    """The pictures of a list, a batch or a folder; None for what is one picture, or none at all.

    Raises:
        DataError: A folder without pictures.
    """
    if isinstance(sources, np.ndarray):
        return list(sources) if sources.ndim == 4 else None
    if _is_tensor(sources):
        return list(sources) if sources.ndim == 4 else None
    if isinstance(sources, str | os.PathLike):
        return None
    if isinstance(sources, bytes | bytearray | memoryview | Image.Image | np.generic) or hasattr(sources, "read"):
        return None
    if isinstance(sources, dict) or not hasattr(sources, "__iter__"):
        return None
    return list(sources)


def name_of(source: object) -> str:
    """What to call a picture: its file's name; "" where it has none."""
    if isinstance(source, str | os.PathLike):
        return shown(Path(os.fspath(source)))
    named = getattr(source, "filename", None) or getattr(source, "name", None)
    return shown(Path(named)) if isinstance(named, str | os.PathLike) and str(named) else ""


def _file(source: str | os.PathLike[str]) -> Path:
    path = os.fspath(source)
    if "://" in path:
        raise DataError(f"{path}: pictures are read from files; fetch it first, or give its bytes")
    return at_home(Path(path))


def _all_of(source: OpenFile, name: str) -> bytes:
    """An open file's content from its beginning, as Pillow reads it."""
    if callable(seek := getattr(source, "seek", None)):
        try:
            seek(0)
        except (OSError, ValueError) as error:
            if getattr(source, "closed", False):
                raise DataError(f"{name}: the file is closed") from None
            if not isinstance(error, OSError):
                raise
    content = source.read()
    if not isinstance(content, bytes | bytearray):
        raise UsageError(f"{name}: the file was opened as text; open it in binary mode, 'rb'")
    return bytes(content)


def _from_array(values: NDArray[Any], name: str) -> Image.Image:
    """An array (H, W) or (H, W, 1 | 3 | 4) as a picture."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in _CHANNELS):
        raise UsageError(f"{name}: {_shape_problem(values.shape)}")
    if not values.size:
        raise DataError(f"{name}: it has no pixels (shape {values.shape})")
    return Image.fromarray(np.ascontiguousarray(_as_bytes(values, name)))


def _as_bytes(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Values of any dtype as 0 ... 255, as a file of that dtype would be read."""
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind not in "uif":
        raise UsageError(f"{name}: pixels of dtype {values.dtype}; give whole numbers 0 ... 255, or floats 0 ... 1")
    if kind == "f" and not np.isfinite(values).all():
        raise UsageError(f"{name}: its pixels hold NaN or infinite values")
    low, high = values.min().item(), values.max().item()
    slack = _SLACK if kind == "f" else 0
    if kind == "f" and high > 1 + slack and low >= -slack:
        raise UsageError(f"{name}: its pixels are floats up to {high:g}, and float pixels are 0 ... 1: divide by 255")
    if low < -slack:
        raise UsageError(
            f"{name}: its pixels are {low:g} to {high:g}; give them before they are normalised, as 0 ... 1 or 0 ... 255"
        )
    if values.dtype == np.uint8:
        return values
    return eight_bits(values.clip(0, 1) if kind == "f" else values, name)


def _channels_last(tensor: "torch.Tensor", name: str) -> NDArray[Any]:
    """A tensor (H, W) or (1 | 3 | 4, H, W) as an array."""
    import torch

    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and tensor.shape[0] not in _CHANNELS):
        raise UsageError(f"{name}: {_shape_problem(tuple(tensor.shape), tensor=True)}")
    plain = tensor.detach().cpu()
    plain = plain.float() if plain.dtype in (torch.bfloat16, torch.float16) else plain
    array: NDArray[Any] = (plain if plain.ndim == 2 else plain.permute(1, 2, 0)).numpy()
    return array


def _shape_problem(shape: tuple[int, ...], tensor: bool = False) -> str:
    wanted = "(3, H, W), (1, H, W) or (H, W)" if tensor else "(H, W, 3), (H, W, 4) or (H, W)"
    line = f"the shape of {'a tensor' if tensor else 'an array'} is {wanted}; got {shape}"
    if len(shape) == 3 and shape[-1 if tensor else 0] in _CHANNELS:
        turned = "tensor.permute(2, 0, 1)" if tensor else "array.transpose(1, 2, 0)"
        return f"{line}: its channels come {'last' if tensor else 'first'}, so give {turned}"
    return line


def _is_tensor(source: object) -> "TypeGuard[torch.Tensor]":
    """Without an import of PyTorch: whoever has a tensor has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)
