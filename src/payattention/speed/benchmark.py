"""What a model costs on the machine at hand: time, arithmetic, share of the machine's peak, memory."""

import copy
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from payattention.errors import PayAttentionError, UsageError
from payattention.exporting.int8 import CALIBRATION, multiplies_in_int8, quantised
from payattention.models import Classifier, fold, winograd
from payattention.models.rewrites.fold import foldable
from payattention.models.rewrites.winograd import suitable, suitable_in_training
from payattention.speed.arithmetic import flops_per_image, matrix_peak
from payattention.speed.memory import check_fits, peak_mebibytes, too_large
from payattention.speed.timing import Action, Spread, repeated
from payattention.system.machine import autocast, chosen_device, memory_format, slower_in_bf16, training_precision
from payattention.system.names import check_known
from payattention.system.provenance import Provenance, Stopwatch
from payattention.system.reporting import per_cent

PRECISIONS: dict[str, torch.dtype] = {"float32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
"""bf16: as training does it, float32 weights under autocast. int8: inference alone, on the CPU."""

PHASES = ("training", "inference")


@dataclass(frozen=True)
class Pace:
    """One phase.

    Attributes:
        steps: How many were timed.
        images_per_second: At the median step.
        step_ms: Of one batch, milliseconds.
        gflop_per_image: What the network needs, computed directly; a multiply-add counts as two.
        tflops: What the machine did, 10^12 operations a second.
        percent_of_peak: Of the matrix peak; above 100 where Winograd's algorithm needs fewer operations; None in int8,
            for which no peak is measured.
        peak_mebibytes: Of the GPU's tensors, or of the whole process; None where the system does not tell.
    """

    steps: int
    images_per_second: float
    step_ms: Spread
    gflop_per_image: float
    tflops: float
    percent_of_peak: float | None
    peak_mebibytes: float | None


@dataclass(frozen=True)
class Benchmark:
    """The phases by name, what they were measured on, and the matrix peak that they are held against."""

    model: str
    width: float
    parameters: int
    batch_size: int
    image_size: int
    precision: str
    compiled: bool
    matrix_peak_tflops: float | None
    phases: Mapping[str, Pace]
    notes: tuple[str, ...]
    load_average: float | None
    provenance: Provenance


def benchmark(
    model: Classifier,
    *,
    batch_size: int = 64,
    image_size: int | None = None,
    precision: str = "auto",
    phases: Sequence[str] = PHASES,
    seconds: float = 5.0,
    compiled: bool = False,
) -> Benchmark:
    """Times training steps and inference of a model on random images, in the memory layout that training takes.

    A training step is the forward and backward pass and SGD's update. Inference is timed as the model stands and, where
    it has batch norms to fold, as `payattention.fold` makes it. On a CPU in float32 both are timed by Winograd's
    algorithm, too, where it is faster: `payattention train` takes it, and `payattention.winograd` gives it.

    Args:
        model: The network; it is left as it is.
        batch_size: Images a step.
        image_size: Their side in pixels; by default the model's own.
        precision: A name of `PRECISIONS`; "auto" is what training takes (`payattention.computing`).
        phases: Of `PHASES`; int8 takes inference alone.
        seconds: How long each phase is timed; three steps at least.
        compiled: Whether to run through `torch.compile`.

    Raises:
        UsageError: An impossible combination, a batch that does not fit into memory, or a package missing for int8.
        PayAttentionError: Something that compilation needs is missing.
    """
    watch = Stopwatch()
    precision = training_precision() if precision == "auto" else precision
    image_size = image_size or max(model.image_size, model.min_size)
    check(precision, phases, batch_size, compiled)
    device = torch.device("cpu") if precision == "int8" else chosen_device()
    load = _Load(batch_size, image_size, device, precision, compiled)
    load.check(model, phases)
    peak = None if precision == "int8" else matrix_peak(device, PRECISIONS[precision])
    paces = {name: _pace(network, name, load, peak, seconds) for name, network in [*_networks(model, phases, load)]}
    return Benchmark(
        model=model.name,
        width=model.config.width,
        parameters=sum(p.numel() for p in model.parameters()),
        batch_size=batch_size,
        image_size=image_size,
        precision=precision,
        compiled=compiled,
        matrix_peak_tflops=None if peak is None else round(peak / 1e12, 4),
        phases=paces,
        notes=tuple(_notes(precision, device)),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        provenance=watch.provenance(device),
    )


@dataclass(frozen=True)
class _Load:
    """What a network is given at each step, and how it is run."""

    batch_size: int
    image_size: int
    device: torch.device
    precision: str
    compiled: bool

    @property
    def direct(self) -> bool:
        """Whether all convolutions are left to PyTorch."""
        return self.device.type != "cpu" or self.precision != "float32" or self.compiled

    def check(self, model: Classifier, phases: Sequence[str]) -> None:
        """Raises UsageError for images that a model cannot take, or a batch that does not fit into memory."""
        if self.image_size < model.min_size:
            raise UsageError(
                f"images of {self.image_size} pixels are too small: {model.name} takes {model.min_size} at least"
            )
        for phase in phases:
            check_fits(model, self.batch_size, self.image_size, training=phase == "training", device=self.device)

    def images(self, channels: int) -> Tensor:
        return torch.rand(self.batch_size, channels, self.image_size, self.image_size, device=self.device)


def check(precision: str, phases: Sequence[str], batch_size: int, compiled: bool) -> None:
    """Raises UsageError for a name or a combination that cannot be."""
    check_known("precision", ("auto", *PRECISIONS), precision)
    check_known("phase", PHASES, *phases)
    if precision == "int8" and "training" in phases:
        raise UsageError("int8 is for inference: no network is trained in it; measure the phase inference alone")
    if precision == "int8" and compiled:
        raise UsageError("int8 runs in ONNX Runtime: there is nothing for torch.compile to compile")
    if batch_size < 2 and "training" in phases:
        raise UsageError(f"a batch of {batch_size} cannot be trained on: batch norms need two images at least")


def training_step(model: nn.Module, images: Tensor, labels: Tensor, precision: str) -> Action:
    """One step of SGD on the same batch, again and again."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        with autocast(images.device, precision):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def inference(model: nn.Module, images: Tensor, precision: str = "float32") -> Action:
    """The logits of the same batch, again and again."""

    @torch.inference_mode()
    def look() -> Tensor:
        with autocast(images.device, precision):
            logits: Tensor = model(images)
        return logits

    return look


def _networks(model: Classifier, phases: Sequence[str], load: _Load) -> Iterator[tuple[str, Classifier]]:
    """Copies of a model, each with the name of what is timed."""
    if load.precision == "int8":
        yield "inference, int8", model
        return
    if "training" in phases:
        yield "training", copy.deepcopy(model).train()
        if not load.direct and suitable_in_training(model):
            yield "training, Winograd", winograd(model).train()
    if "inference" in phases:
        fastest = copy.deepcopy(model).eval()
        yield "inference", fastest
        if foldable(fastest):
            fastest = fold(model)
            yield "inference, folded", fastest
        if not load.direct and suitable(fastest):
            yield "inference, Winograd", winograd(fastest)


def _action(model: Classifier, load: _Load, training: bool) -> Action:
    model, images = model.to(load.device), load.images(model.in_channels)
    if load.precision == "int8":
        twin = quantised(model, images[:CALIBRATION])
        return lambda: twin(images)
    images = images.contiguous(memory_format=torch.channels_last)  # as batches come in training
    model = model.to(memory_format=memory_format(model))
    network: nn.Module = torch.compile(model) if load.compiled else model  # type: ignore[assignment]
    if not training:
        return inference(network, images, load.precision)
    labels = torch.randint(model.config.num_classes, (len(images),), device=images.device)
    return training_step(network, images, labels, load.precision)


def _pace(network: Classifier, name: str, load: _Load, peak: float | None, seconds: float) -> Pace:
    training = name.startswith("training")
    flops = flops_per_image(network, load.image_size, training=training)
    with _explained(load.batch_size, training):
        action = _action(network, load, training)
        memory = peak_mebibytes(action, load.device)
        times = repeated(action, load.device, seconds)
    rate = load.batch_size / statistics.median(times)
    return Pace(
        steps=len(times),
        images_per_second=round(rate, 2),
        step_ms=Spread.of([1000 * taken for taken in times]),
        gflop_per_image=round(flops / 1e9, 4),
        tflops=round(rate * flops / 1e12, 4),
        percent_of_peak=None if peak is None else per_cent(rate * flops / peak, 1),
        peak_mebibytes=memory,
    )


@contextmanager
def _explained(batch_size: int, training: bool) -> Iterator[None]:
    """Memory that ran out, and a compiler that failed, in a line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise too_large(batch_size, training, _first_line(error)) from None
    except RuntimeError as error:
        module = type(error).__module__
        if "memory" in str(error):
            raise too_large(batch_size, training, _first_line(error)) from None
        if module.startswith(("torch._dynamo", "torch._inductor")):
            raise PayAttentionError(f"torch.compile failed here: {_first_line(error)}; leave --compile out") from None
        raise


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _notes(precision: str, device: torch.device) -> Iterator[str]:
    if precision == "bf16" and device.type == "cpu" and (slower := slower_in_bf16()):
        yield slower
    if precision == "int8":
        yield "int8 runs in ONNX Runtime on the CPU"
        if not multiplies_in_int8():
            yield "this processor has no int8 dot product (VNNI): int8 can be at most twice as fast as float32"
