"""A network as a graph, by torch.export: for any number of pictures, and where it can be for pictures of any size."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

import torch

from payattention.errors import PayAttentionError
from payattention.exporting.outputs import Outputs
from payattention.exporting.sides import Sides
from payattention.system.text import first_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def captured(outputs: Outputs, sides: Sides) -> "ExportedProgram":
    """The graph of a network.

    Args:
        outputs: The network.
        sides: What it is to take. Whether heights and widths could be left free is seen afterwards
            (`takes_any_size`).

    Raises:
        PayAttentionError: PyTorch cannot make a graph of it.
    """
    images = torch.zeros(2, outputs.model.in_channels, *_example(sides))  # of 1 a graph would know the number
    auto = torch.export.Dim.AUTO
    free = {0: torch.export.Dim("n")} | ({} if sides.step is None else {2: auto, 3: auto})
    try:
        with torch.no_grad(), _unlogged():
            return torch.export.export(outputs, (images,), dynamic_shapes=(free,))
    except Exception as error:  # of many kinds, most of them private
        raise PayAttentionError(
            f"{outputs.model.name} cannot be exported: PyTorch cannot make a graph of it ({_reason(error)})"
        ) from None


@contextmanager
def _unlogged() -> Iterator[None]:
    """Without the graph that PyTorch logs, and prints, several times over where it fails: the error says enough."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """Why there is no graph."""
    if "data-dependent" not in str(error):
        return first_line(error)
    inside = Path(torch.__file__).parent
    *_, own = (frame for frame in extract_tb(error.__traceback__) if inside not in Path(frame.filename).parents)
    return f"what it does depends on the values of pixels, {own.filename}:{own.lineno}"


def takes_any_size(program: "ExportedProgram") -> bool:
    """Whether a graph's heights and widths are free."""
    name = program.graph_signature.user_inputs[0]
    (images,) = (node for node in program.graph.nodes if node.op == "placeholder" and node.name == name)
    return not any(isinstance(side, int) for side in images.meta["val"].shape[2:])


def least_taken(program: "ExportedProgram", sides: Sides, channels: int) -> int:
    """The smallest height and width that a graph for any size takes.

    They are the network's, or else twice these: where a grid has one position only, PyTorch's graphs are of that alone.
    """
    run = program.module()
    for side in map(sides.fitting, (sides.least, 2 * sides.least)):
        try:
            run(torch.zeros(1, channels, side, side))
        except (AssertionError, RuntimeError):  # of what it was told of sizes
            continue
        return side
    return sides.height


def _example(sides: Sides) -> tuple[int, int]:
    """Height and width of what a graph is made by: such that no grid has one position only, if they are to be free."""
    least = 0 if sides.step is None else sides.fitting(2 * sides.least)
    return max(sides.height, least), max(sides.width, least)
