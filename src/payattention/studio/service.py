"""What the page asks for: models by name, one computation at a time, and what was computed last, kept for a while."""

import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from payattention.errors import PayAttentionError, UsageError
from payattention.studio.choosing import choices
from payattention.studio.folders import Folders
from payattention.studio.training import Trainer
from payattention.studio.uploads import LIMITS, Limits, Uploaded, picture_from
from payattention.system.names import check_known
from payattention.weights.named import NamedModel, SavedModel

if TYPE_CHECKING:
    from payattention.models import Classifier
    from payattention.studio.asking import Asked, Blind
    from payattention.studio.attacking import AttackOfOne, UnderAttack
    from payattention.studio.looking import Looked

T = TypeVar("T")

_MODELS = 2
"""How many are kept in memory."""


@dataclass(frozen=True)
class Bounds:
    """What the page's questions may take.

    Attributes:
        upload: Of one upload.
        seconds: That one answer may take, the wait for those before it included.
        waiting: Questions that may wait for their turn.
        stored: Bytes of all uploads and files that lie here at once, about.
        kept: Answers that are kept, for whoever changes nothing but what is shown, or wants them as files.
    """

    upload: Limits = LIMITS
    seconds: float = 60.0
    waiting: int = 24
    stored: int = 4 * 2**30
    kept: int = 6


class Studio:
    """Answers the questions of a page, for any number of people at once.

    All that computes is done by one thread, one question after the other: networks have hooks and gradients, and two
    at once would be slower than one after the other.

    Args:
        given: Models that whoever started the page named; the first is chosen at first.
        runs: Where runs are looked for.
        bounds: What questions may take.
        places: Whose folders of pictures may be looked through.

    Attributes:
        folder: Its own temporary folder, which `close` removes.
        folders: The folders of pictures that may be looked through.
        trainer: Trains on people's own pictures.
    """

    def __init__(
        self,
        given: Sequence[NamedModel] = (),
        *,
        runs: Path = Path("runs"),
        bounds: Bounds | None = None,
        places: Sequence[Path] = (Path(),),
    ) -> None:
        self.given, self.runs, self.bounds = tuple(given), runs, bounds or Bounds()
        self.folder = Path(tempfile.mkdtemp(prefix="payattention-studio-"))
        self.folders, self.trainer = Folders(places), Trainer(runs)
        self._worker = ThreadPoolExecutor(1, "studio")
        self._context = copy_context()  # device, precision and threads that were chosen
        self._waiting, self._counting = 0, threading.Lock()
        self._loaded: OrderedDict[Hashable, Classifier] = OrderedDict()
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def close(self) -> None:
        """Ends the thread, and removes the temporary folder."""
        self.trainer.close()
        self._worker.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def models(self) -> list[str]:
        """The models to choose from, as the page calls them; looked for anew, since a run may have ended."""
        return list(choices(self.given, self.runs))

    def found_runs(self) -> list[str]:
        """Those of the models that are runs, or files of one."""
        return [name for name, model in choices(self.given, self.runs).items() if isinstance(model, SavedModel)]

    def named(self, model: str) -> NamedModel:
        """A model that is not loaded yet.

        Raises:
            UsageError: It is none of `models`.
        """
        check_known("model", self.models(), model)
        return choices(self.given, self.runs)[model]

    def picture(self, upload: Path | bytes, name: str = "") -> Uploaded:
        """A picture that somebody uploaded.

        Raises:
            DataError: `payattention.studio.uploads.picture_from` refuses it.
        """
        return picture_from(upload, name, limits=self.bounds.upload)

    def warm_up(self) -> None:
        """Imports PyTorch and loads the first model, so that nobody waits for that; does not wait itself."""
        self._worker.submit(self._context.run, self._first)

    def computed(self, work: "Callable[[Classifier], T]", model: str) -> T:
        """What a function makes of a model, when it is its turn.

        Args:
            work: Is run by the one thread that computes.
            model: One of `models`.

        Raises:
            UsageError: An unknown model.
            PayAttentionError: Too many wait, or the answer takes too long; whatever `work` raises.
        """
        check_known("model", self.models(), model)
        with self._counting:
            if self._waiting >= self.bounds.waiting:
                raise PayAttentionError(f"{self._waiting} others are waiting for an answer: try again in a moment")
            self._waiting += 1
        future = self._worker.submit(self._context.run, lambda: work(self._model(model)))
        future.add_done_callback(self._one_less)
        try:
            return future.result(self.bounds.seconds)
        except TooLate:
            future.cancel()
            raise PayAttentionError(
                f"no answer within {self.bounds.seconds:g} s: take a smaller model, or try again when fewer people ask"
            ) from None

    def look(self, picture: Uploaded, model: str, more: Sequence[str] = ()) -> "Looked":
        """Where a model looks in a picture.

        Args:
            picture: From `picture`.
            model: One of `models`.
            more: Post-hoc methods beside those that are always shown.

        Raises:
            UsageError: An unknown model or method, or one that the model does not have.
        """
        from payattention.studio.looking import look

        names = tuple(sorted({*more}))
        key = ("look", *self._version(model), picture.name, _content(picture), names)
        return self._kept(key, lambda: self.computed(lambda own: look(own, picture, names, model), model))

    def ask(self, query: Uploaded, target: Uploaded, model: str) -> "Asked | Blind":
        """How another picture's query moves a model's maps, or why none can.

        Raises:
            UsageError: An unknown model.
        """
        from payattention.studio.asking import ask_of_one

        key = ("ask", *self._version(model), _content(query), target.name, _content(target))
        return self._kept(key, lambda: self.computed(lambda own: ask_of_one(own, query, target, model), model))

    def attack(self, picture: Uploaded, model: str, how: "AttackOfOne") -> "UnderAttack":
        """What a change that no one sees does to answer and maps.

        Raises:
            UsageError: An unknown model, attack or class, or a size out of range.
        """
        from payattention.studio.attacking import attacked

        key = ("attack", *self._version(model), picture.name, _content(picture), how)
        return self._kept(key, lambda: self.computed(lambda own: attacked(own, picture, how, model), model))

    def packed(self, pack: "Callable[[T, NamedModel, Path], Path]", answer: T, model: str) -> Path:
        """An answer as a file, which lies among the temporary ones.

        Args:
            pack: Such as `payattention.studio.bundle.bundle_of_look`.
            answer: What is packed.
            model: Whose answer it is.
        """
        return self.computed(lambda _: pack(answer, self.named(model), self.folder / "files"), model)

    def classes(self, model: str) -> tuple[str, ...]:
        """The names of a model's classes."""
        return self._kept(
            ("classes", *self._version(model)),
            lambda: self.computed(lambda own: own.class_names(own.config.num_classes), model),
        )

    def _first(self) -> None:
        from payattention.studio import asking, attacking, looking  # noqa: F401

        with suppress(PayAttentionError):  # it is told to whoever asks that model
            self._model(self.models()[0])

    def _version(self, name: str) -> tuple[Hashable, ...]:
        """Tells a model from another that has taken its place."""
        chosen = choices(self.given, self.runs).get(name)
        return name, None if chosen is None else _stamp(chosen)

    def _model(self, name: str) -> "Classifier":
        """In the thread that computes alone."""
        chosen = choices(self.given, self.runs).get(name)
        if chosen is None:
            raise UsageError(f"{name}: this model is no longer there; choose another")
        key = (name, _stamp(chosen))
        if key not in self._loaded:
            for old in [own for own in self._loaded if own[0] == name]:  # type: ignore[index]
                del self._loaded[old]
            while len(self._loaded) >= _MODELS:
                self._loaded.popitem(last=False)
            self._loaded[key] = chosen.load()
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _kept(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._counting:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        made = make()
        with self._counting:
            self._answers[key] = made
            while len(self._answers) > self.bounds.kept:
                self._answers.popitem(last=False)
        return made

    def _one_less(self, _: object) -> None:
        with self._counting:
            self._waiting -= 1


def _content(uploaded: Uploaded) -> Hashable:
    """Tells one picture from another."""
    import hashlib

    return uploaded.picture.size, hashlib.sha256(uploaded.picture.tobytes()).digest()


def _stamp(model: NamedModel) -> Hashable:
    """When a saved model's file was written."""
    from payattention.weights.header import weights_file

    return weights_file(model.path).stat().st_mtime_ns if isinstance(model, SavedModel) else None
