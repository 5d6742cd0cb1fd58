"""One process or many: which of them this is, as torchrun or SLURM tell it through the environment."""

import os
from dataclasses import dataclass
from typing import Literal

from payattention.errors import UsageError

Launcher = Literal["none", "torchrun", "slurm"]


@dataclass(frozen=True)
class Processes:
    """The processes that train together, one for each device, and this one's place among them."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    nodes: int = 1
    launcher: Launcher = "none"

    @property
    def first(self) -> bool:
        """Whether this is the one process that prints, and writes the run folder."""
        return self.rank == 0

    @property
    def on_each_node(self) -> int:
        return self.count // self.nodes

    def share(self, length: int) -> slice:
        """This process's part of a batch of so many."""
        return slice(self.rank * length // self.count, (self.rank + 1) * length // self.count)

    def check_batch(self, length: int) -> None:
        """Raises UsageError unless a batch divides into equal shares: only then is their mean the batch's."""
        if length % self.count or length < self.count:
            raise UsageError(
                f"a batch of {length} images does not divide among {self.count} processes: take a batch size that is "
                f"a multiple of {self.count}, as with --recipe-set batch_size={-(-length // self.count) * self.count}"
            )


ALONE = Processes()


def here() -> Processes:
    """This process, by the variables of torchrun, else those of srun (by Lightning's rule), else alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        rank, count, local, on_each_node = (
            int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        )
        return Processes(rank, count, local, count // on_each_node, "torchrun")
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1 and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        rank, count, local, nodes = (
            int(os.environ.get(name, "1" if name == "SLURM_NNODES" else "0"))
            for name in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NNODES")
        )
        return Processes(rank, count, local, nodes, "slurm")
    return ALONE
