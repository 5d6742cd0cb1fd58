"""What is asked of a run, with all that can be checked of it before any data is read, and what is recorded of it."""

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from payattention.models import Classifier, check_model
from payattention.models.preprocessing import check_sizes
from payattention.system.validation import checked
from payattention.training.model_options import model_options
from payattention.training.recipe import Recipe

_Steps = Annotated[int, Field(ge=1)]
_EpochsOrNone = Annotated[int, Field(ge=0)]


@checked(frozen=True)
class RunConfig:
    """What is asked of a run; a wrong kind of value, or one out of range, raises UsageError.

    Attributes:
        model: A network's name.
        recipe: How to train.
        width: Of the network.
        options: Of the network.
        seed: Of weights, order, augmentation and dropout.
        save_every: Steps between two snapshots within an epoch.
        compiled: Whether to compile the network for training.
        winograd: Whether Winograd's algorithm may do the convolutions where it is faster: CPU, float32, not compiled.
        init_from: A saved model whose weights it begins with, where they fit (`payattention.warm_start`).
        tensorboard: Whether to write for TensorBoard.
        sheet_every: Epochs from one sheet of attention maps to the next, of the same few pictures of the test split,
            which are only looked at; 0 makes none.
        reading: How to read the two sets again, for whoever resumes the run; None where only Python knows.
    """

    model: str
    recipe: Recipe
    width: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    save_every: _Steps = 500
    compiled: bool = False
    winograd: bool = True
    init_from: Annotated[Path, Field(strict=False)] | None = None
    tensorboard: bool = False
    sheet_every: _EpochsOrNone = 0
    reading: Mapping[str, Any] | None = None

    @cached_property
    def source(self) -> Classifier | None:
        """The model whose weights it begins with, loaded once."""
        from payattention.weights.named import saved_model

        return None if self.init_from is None else saved_model(self.init_from).load()

    def check(self) -> None:
        """Raises what can be found before any data is read.

        Raises:
            UsageError: An unknown name, a value out of range, an impossible combination.
            CheckpointError: Nothing to begin with where `init_from` says.
        """
        options = {**model_options(self.recipe, self.model), **self.options}
        check_model(self.model, self.width, **options)
        check_sizes(options.get("preprocessing"), self.recipe.sizes)
        if options.get("freeze"):
            self.recipe.check_frozen()
        if self.tensorboard or self.sheet_every:
            from payattention.training.callbacks.views import check_views

            check_views(self.model, options, self.tensorboard, self.sheet_every)
        if self.compiled:
            from payattention.training.execution import Execution

            Execution(self.compiled).check()
        _ = self.source


@checked(frozen=True, kw_only=True)
class Record:
    """The content of `config.json`: what was asked of a run, and what it was begun on.

    What early runs do not say has a default: what held for all runs then.

    Attributes:
        model: The network as it was built.
        init_from: What was taken over of a saved model.
        data: The two sets, as they are known again.
        reading: As in `RunConfig`; so are `recipe`, `seed`, `save_every`, `compiled`, `tensorboard`, `sheet_every`.
        device: Its type.
        precision: What was computed in.
        threads: How many computed.
        processes: How many trained together.
        convolutions: How they are done in training.
        epochs_before: Epochs of the cycles before this one, where a finished run was given more
            (`payattention.runs.extension`).
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    init_from: Mapping[str, Any] | str | None = None
    data: Mapping[str, Any]
    reading: Mapping[str, Any] | None = None
    recipe: Recipe
    seed: int
    device: str = "auto"
    precision: str | None = None
    threads: _Steps | None = None
    processes: _Steps = 1
    save_every: _Steps
    compiled: bool
    convolutions: Literal["winograd", "direct"] = "direct"
    epochs_before: _EpochsOrNone = 0
    tensorboard: bool = False
    sheet_every: _EpochsOrNone = 0
