"""The model that a verb is about, as its argument and options name it: one way for all verbs."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Run folder, .safetensors file or hf-hub:USER/NAME; or a classifier as it is: timm:NAME, "
        "torchvision:NAME, transformers:FOLDER, or script.py:FUNCTION, which returns an nn.Module.",
        show_default=False,
    ),
]
PretrainedOption = Annotated[
    bool, typer.Option("--pretrained", help="Of timm:NAME and torchvision:NAME: with pre-trained weights.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of timm:NAME and torchvision:NAME: with these weights, .safetensors or a state dict that torch.save "
        "wrote.",
        show_default=False,
    ),
]
ClassNamesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Names of its classes, one a line, in order; by default those that it comes with (ImageNet's for 1,000 "
        "classes).",
        show_default=False,
    ),
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "pretrained": (PretrainedOption, False),
    "weights": (WeightsOption, None),
    "class_names": (ClassNamesOption, None),
}


def of_a_model(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb whose first parameter is a `NamedModel` model: on the command line an argument, and the options above."""
    signature = inspect.signature(verb)
    first, *others = signature.parameters.values()
    argument = first.replace(annotation=ModelArgument)
    added = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
    ]

    @wraps(verb)
    def chosen(**given: Any) -> Any:
        passed = {name: value for name, value in given.items() if name not in _OPTIONS}
        options = {name: given.get(name, default) for name, (_, default) in _OPTIONS.items()}
        return verb(**{**passed, first.name: _named(passed[first.name], **options)})

    parameters = [argument, *others[:-1], *added, others[-1]]
    chosen.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    chosen.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return chosen


def _named(text: str, pretrained: bool, weights: Path | None, class_names: Path | None) -> "NamedModel":
    from payattention.weights.named import named

    classes = None if class_names is None else _lines(class_names)
    return named(text, pretrained=pretrained, weights=weights, classes=classes)


def _lines(file: Path) -> list[str]:
    """The lines of a file that hold anything.

    Raises:
        DataError: It cannot be read as text.
    """
    from payattention.errors import DataError

    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{file}: not text in UTF-8; class names are lines of it") from None
    return [line.strip() for line in lines if line.strip()]
