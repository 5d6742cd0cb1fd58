"""What may be watched of a run beside its metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from payattention.data import ImageSet
from payattention.models import Classifier, create_model
from payattention.models.registry import without_pretrained
from payattention.models.without_values import without_values
from payattention.training.callbacks import sheets
from payattention.training.callbacks.metrics import Metrics
from payattention.training.callbacks.sheets import Sheets
from payattention.training.callbacks.tensorboard import FOLDER, Board, check_installed
from payattention.training.loop import Callback


@dataclass(frozen=True)
class Views:
    """Views of a run.

    Attributes:
        tensorboard: Whether TensorBoard shows it.
        sheet_every: Epochs from one sheet of attention maps to the next; 0 makes none.
        pictures: What the sheets show a few of; a split that is not trained on.
        console: Where a progress bar is shown.
    """

    tensorboard: bool = False
    sheet_every: int = 0
    pictures: ImageSet | None = None
    console: Console | None = None

    def callbacks(self, model: Classifier, out: Path, metrics: Metrics) -> list[Callback]:
        """All but the progress bar; to be placed after the metrics."""
        shown: list[Callback] = []
        screen = Board(out / FOLDER, metrics) if self.tensorboard else None
        if screen is not None:
            shown.append(screen)
        if self.sheet_every and self.pictures is not None:
            shown.append(Sheets(model, self.pictures, out / sheets.FOLDER, self.sheet_every, screen))
        return shown


NO_VIEWS = Views()


def check_views(model: str, options: Mapping[str, object], tensorboard: bool, sheet_every: int) -> None:
    """Raises UsageError where TensorBoard is missing, or where sheets are wanted of a network without maps."""
    if tensorboard:
        check_installed()
    if sheet_every:
        with without_values():
            create_model(model, 2, 1.0, **without_pretrained(options)).check_has_maps()
