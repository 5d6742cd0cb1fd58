"""How a network is run while it is trained: compiled or not, and by which algorithm its convolutions are done."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

from torch import nn

from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.rewrites.winograd import by_winograd, suitable_in_training
from payattention.system.machine import chosen_device, training_precision
from payattention.system.processes import here
from payattention.training.features import is_frozen


@dataclass(frozen=True)
class Execution:
    """How a network is run.

    Attributes:
        compiled: Whether it is compiled (`torch.compile`).
        winograd: Whether Winograd's algorithm may do the convolutions where it is faster (see `convolutions`).
    """

    compiled: bool = False
    winograd: bool = True

    def check(self) -> None:
        """Raises UsageError where a network cannot be compiled for training."""
        if not self.compiled:
            return
        if here().count > 1:
            raise UsageError("--compile is for one process: batch norm over several is not compiled")
        compilers = (os.environ.get("CXX", "g++"), "clang++")
        if chosen_device().type == "cpu" and not any(map(shutil.which, compilers)):
            raise UsageError("--compile needs a C++ compiler on the CPU, and there is no g++ or clang++")

    def convolutions(self, model: Classifier) -> Literal["winograd", "direct"]:
        """How a model's convolutions are trained on this machine: "winograd", or "direct" as PyTorch does them.

        Winograd's algorithm is for the CPU in float32; of the convolutions that it can do, it does those whose batch,
        pictures and channels make it faster (`payattention.models.rewrites.winograd.faster_in_training`).
        """
        plain = chosen_device().type == "cpu" and training_precision() == "float32" and not self.compiled
        fitting = self.winograd and plain and not is_frozen(model) and suitable_in_training(model)
        return "winograd" if fitting else "direct"

    def convolving(self, model: Classifier) -> Callable[[nn.Module], AbstractContextManager[None]]:
        """A context in which the convolutions of what is trained of a model are done as `convolutions` says."""
        return by_winograd if self.convolutions(model) == "winograd" else lambda network: nullcontext()

    @contextmanager
    def compiling(self, network: nn.Module) -> Iterator[None]:
        """Compiles a network, if that is wanted: in place, so that its state keeps its names."""
        if self.compiled:
            network.compile()
        try:
            yield
        finally:
            network._compiled_call_impl = None  # what `compile` sets; there is no public way back


FASTEST = Execution()
"""Whatever is faster on this machine, short of compiling, which takes minutes."""
