"""`--device`, `--precision` and `--threads`: options of every verb that computes."""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from payattention.system.cores import are_to_be_set, busy, default_threads
from payattention.system.machine import choosing, chosen_threads, running_on, slower_in_bf16

DeviceOption = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda|mps", help="What computes; auto: a CUDA GPU if there is one, else the CPU."),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        metavar="auto|float32|bf16",
        help="auto: float32 on every CPU; a CUDA GPU trains in bf16 and measures in float32.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU threads; by default as many as the cores that this process may use, one where several processes "
        "train together.",
        show_default=False,
    ),
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "device": (DeviceOption, "auto"),
    "precision": (PrecisionOption, "auto"),
    "threads": (ThreadsOption, None),
}


def computes(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that also takes the options above, before its last one, and runs on what they choose.

    A verb that declares one of them itself gets that one's value, too.
    """
    signature = inspect.signature(verb)
    own = list(signature.parameters.values())
    added = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
        if name not in signature.parameters
    ]

    @wraps(verb)
    def chosen(**given: Any) -> Any:
        device, precision, threads = (given.get(name, default) for name, (_, default) in _OPTIONS.items())
        passed = {name: value for name, value in given.items() if name in signature.parameters}
        # a precision that a verb declares itself may have names of its own, which are its matter
        precision = precision if "precision" not in signature.parameters else "auto"
        by_default = default_threads() if threads is None and are_to_be_set() else None
        with choosing(device, precision, threads), running_on(by_default):
            for note in (busy(chosen_threads()), slower_in_bf16() if precision == "bf16" else None):
                if note:
                    print(f"note: {note}", file=sys.stderr)
            return verb(**passed)

    parameters = [*own[:-1], *added, own[-1]]
    chosen.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    chosen.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return chosen
