"""Ray's workers write the shards: on this machine's cores or GPUs, or on those of a cluster.

Ray only hands out shards, each to the worker that is free, and starts a worker in place of one that died; that every
picture gets one row is a matter of files. When no shard is left to hand out, those that others are still at go to idle
workers, too, the oldest first: who is done first has done it, and a slow machine does not hold up the end. The folder,
the pictures and the model's file have to lie where every worker sees them, under the same path.
"""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from payattention import __version__
from payattention.errors import PayAttentionError, UsageError
from payattention.explaining.corpus.computing import Pace
from payattention.explaining.corpus.manifest import Written
from payattention.explaining.corpus.plan import Shard, fingerprint_of
from payattention.explaining.corpus.writing import Work, local
from payattention.models import Classifier
from payattention.system.allocator import keep_freed
from payattention.system.cores import usable_cores
from payattention.system.machine import choosing
from payattention.system.ray_cluster import ray_cluster
from payattention.system.text import first_line
from payattention.weights.named import NamedModel

_COPIES = 2  # workers that are at one shard, at most
_DEATHS = 5  # of workers at one shard, until it is taken for their cause


@dataclass(frozen=True)
class OverRay:
    """An engine.

    Attributes:
        named: How each worker gets the model.
        address: Of a cluster that runs; None for RAY_ADDRESS, and without it for this machine alone.
        workers: How many; None for as many as there are cores for, or GPUs where they compute.
        threads: Of each.
    """

    named: NamedModel
    address: str | None = None
    workers: int | None = None
    threads: int = 1

    def __call__(self, work: Work, model: Classifier) -> Generator[tuple[Shard, Written]]:
        if work.shards:
            cores = self.threads * self.workers if self.workers else max(usable_cores(), self.threads)
            with ray_cluster(self.address, cores) as there:
                yield from self._handed_out(work, there)

    def _handed_out(self, work: Work, there: Mapping[str, float]) -> Generator[tuple[Shard, Written]]:
        import ray

        gpus = 1 if work.asked.device in ("auto", "cuda") and there.get("GPU", 0) >= 1 else 0
        most = int(there["GPU"] if gpus else there.get("CPU", 0) // self.threads)
        if most < 1:
            raise UsageError(f"--threads {self.threads}: no node of this Ray has so many cores")
        count = min(self.workers or most, most, _COPIES * len(work.shards))
        each = None if work.rate is None else work.rate / count
        actor = ray.remote(num_cpus=0 if gpus else self.threads, num_gpus=gpus, max_restarts=0)(_Worker)
        task = _Task(self.named, replace(work, shards=(), rate=each), self.threads)

        def new() -> Any:
            return actor.remote(task)

        hand_out = _HandOut(work.shards)
        try:
            for _ in range(count):
                hand_out.give(new())
            while hand_out.unfinished:
                ready, _ = ray.wait([*hand_out.running], num_returns=1)
                worker, shard = hand_out.running.pop(ready[0])
                try:
                    found = ray.get(ready[0])
                except ray.exceptions.RayTaskError as error:
                    raise _told(error.cause) from None
                except ray.exceptions.RayError as error:
                    hand_out.died(shard, error)
                    worker = new()
                else:
                    if hand_out.done(shard):
                        yield shard, found
                hand_out.give(worker)
        finally:
            hand_out.stop()


@dataclass(frozen=True)
class _Task:
    """What a worker is to do with each shard that it gets."""

    named: NamedModel
    work: Work
    threads: int
    version: str = __version__


class _Worker:
    """One model, in a process of its own; it is made when the first shard comes."""

    def __init__(self, task: _Task) -> None:
        keep_freed()  # as the command line does
        self.task, self.pace = task, Pace(task.work.rate)
        self.model: Classifier | None = None

    def write(self, shard: Shard) -> Written:
        """Writes a shard.

        Raises:
            PayAttentionError: This machine has another version of the package, or another model by that name.
        """
        work = self.task.work
        with choosing(work.asked.device, work.asked.precision, self.task.threads):
            if self.model is None:
                self.model = self._loaded()
            ((_, written),) = local(replace(work, shards=(shard,)), self.model, self.pace)
            return written

    def _loaded(self) -> Classifier:
        import torch

        from payattention.system.machine import chosen_device

        if self.task.version != __version__:
            raise PayAttentionError(f"a worker has payattention {__version__}, not {self.task.version}")
        torch.set_num_threads(self.task.threads)
        model = self.task.named.load().to(chosen_device())
        if fingerprint_of(model, self.task.work.asked) != self.task.work.fingerprint:
            raise PayAttentionError(f"a worker finds another model as {self.task.named.text}")
        return self.task.work.asked.quick(model)


@dataclass
class _HandOut:
    """Who is at which shard.

    Attributes:
        shards: All that are to be written.
        running: By the promise of a result, the worker that gave it and its shard; the oldest first.
    """

    shards: Sequence[Shard]
    running: dict[Any, tuple[Any, Shard]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = list(reversed(self.shards))
        self._unfinished = {shard.name for shard in self.shards}
        self._deaths: Counter[str] = Counter()
        self._idle: list[Any] = []

    @property
    def unfinished(self) -> bool:
        return bool(self._unfinished)

    def give(self, worker: Any) -> None:
        """Gives a worker a shard: the next one, or else a copy of one that another is at; or lets it wait."""
        if (shard := self._next()) is None:
            self._idle.append(worker)
        else:
            self.running[worker.write.remote(shard)] = worker, shard

    def done(self, shard: Shard) -> bool:
        """Whether it was not done before."""
        first = shard.name in self._unfinished
        self._unfinished.discard(shard.name)
        return first

    def died(self, shard: Shard, error: Exception) -> None:
        """A worker died at a shard, which waits again.

        Raises:
            PayAttentionError: It was not the first one.
        """
        self._deaths[shard.name] += 1
        if self._deaths[shard.name] == _DEATHS:
            raise PayAttentionError(
                f"{_DEATHS} workers died at {shard.file}, of {shard.inputs[0].id} to {shard.inputs[-1].id}: does one "
                f"have too little memory? ({first_line(error)})"
            )
        if shard.name in self._unfinished:
            self._waiting.append(shard)

    def stop(self) -> None:
        """Ends all workers, whatever they are at."""
        import ray

        for worker in (*self._idle, *(worker for worker, _ in self.running.values())):
            ray.kill(worker)

    def _next(self) -> Shard | None:
        while self._waiting:
            shard = self._waiting.pop()
            if shard.name in self._unfinished:
                return shard
        copies = Counter(shard.name for _, shard in self.running.values())
        others = (shard for _, shard in self.running.values() if shard.name in self._unfinished)
        return next((shard for shard in others if copies[shard.name] < _COPIES), None)


def _told(cause: BaseException) -> PayAttentionError:
    """A worker's error as the user's."""
    if isinstance(cause, PayAttentionError):
        return cause
    return PayAttentionError(f"a worker failed: {type(cause).__name__}: {first_line(cause)}")
