"""What a step makes smaller."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.attention.normaliser import draws
from payattention.system.processes import ALONE, Processes
from payattention.training.border_penalty import at_border, levels_of, maps_seen
from payattention.training.reinforce import score_function
from payattention.training.synchronised_batch_norm import SynchronisedBatchNorm


class Cost(NamedTuple):
    """Of a batch: the mean loss, and the number of images whose class was not found."""

    loss: Float[Tensor, ""]
    wrong: Int[Tensor, ""]


class Objective(nn.Module):
    """A network with its loss: cross-entropy of the logits, which is the exact loss of every head.

    Hard attention adds the term that trains what it draws, and a recipe may add a penalty on what maps spend at the
    border. Of several processes each has its share of the batch, and
    batch norm sees the whole one.

    Args:
        network: The classifier, or what follows its frozen backbone.
        label_smoothing: The recipe's.
        processes: Those that train together.
        border_penalty: The recipe's.

    Raises:
        UsageError: A penalty on a network without maps.
    """

    def __init__(
        self,
        network: nn.Module,
        label_smoothing: float,
        processes: Processes = ALONE,
        border_penalty: float = 0.0,
    ) -> None:
        super().__init__()
        self.network, self.label_smoothing, self.processes = network, label_smoothing, processes
        self.border_penalty = border_penalty
        self.watched = levels_of(network) if border_penalty else []

    def forward(self, inputs: Any, labels: Int[Tensor, " n"]) -> Cost:
        with self._over_all_processes(), draws() as drawn, maps_seen(self.watched) as maps:
            logits = self.network(inputs)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        if drawn:
            losses = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction="none")
            loss = loss + score_function(drawn, losses)
        if maps:
            loss = loss + self.border_penalty * at_border(maps)
        return Cost(loss, (logits.detach().argmax(1) != labels).sum())

    def _over_all_processes(self) -> AbstractContextManager[Any]:
        return SynchronisedBatchNorm() if self.processes.count > 1 else nullcontext()
