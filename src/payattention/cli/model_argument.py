"""The model that a verb is about, as its argument and options name it: one way for all verbs.

Verbs that look at pictures do without it, too: `payattention maps photo.jpg` takes a model that comes with the package.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from payattention.errors import UsageError

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel

_KINDS = (
    "run folder or .safetensors file, one that comes with payattention (payattention models --pretrained), or "
    "hf-hub:USER/NAME; or a classifier as it is: timm:NAME, torchvision:NAME, transformers:FOLDER, or "
    "script.py:FUNCTION, which returns an nn.Module"
)
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help=f"{_KINDS[0].upper()}{_KINDS[1:]}.", show_default=False)
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
    model, *others = inspect.signature(verb).parameters.values()

    def found(given: dict[str, Any], named: Callable[[str | None], "NamedModel"]) -> dict[str, Any]:
        return {**given, model.name: named(given[model.name])}

    return _with_options(verb, [model.replace(annotation=ModelArgument), *others], found)


def of_a_model_and_pictures(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The same of a verb whose second parameter is `pictures`: on the command line one argument for both.

    Where its first word is a picture, a folder of pictures that is no run, or -, no model is named: then it is the
    default of those that come with the package, and a line says which.
    """
    model, pictures, *others = inspect.signature(verb).parameters.values()
    words = typer.Argument(
        metavar="[MODEL] IMAGE...",
        help=f"{pictures.annotation.__metadata__[0].help} Before them the model: {_KINDS}. Without one, the default of "
        "those that come with payattention.",
        show_default=False,
    )

    def found(given: dict[str, Any], named: Callable[[str | None], "NamedModel"]) -> dict[str, Any]:
        first, *rest = given[pictures.name]
        of_pictures = _is_of_pictures(first)
        if not rest and not of_pictures:
            _check_is_something(first)
        model_of, files = (named(None), [first, *rest]) if of_pictures else (named(first), rest)
        return {**given, model.name: model_of, pictures.name: [Path(file) for file in files]}

    argument = pictures.replace(annotation=Annotated[list[str], words], default=inspect.Parameter.empty)
    return _with_options(verb, [argument, *others], found)


def _check_is_something(word: str) -> None:
    """Raises UsageError for a word alone that stands for neither a model nor pictures."""
    from payattention.weights.named import Bundled, SavedModel, named

    model = named(word)
    if not isinstance(model, SavedModel) or isinstance(model, Bundled) or model.path.exists():
        return
    place = model.path
    beside = [own.name for own in place.parent.iterdir()] if place.parent.is_dir() else []
    near = get_close_matches(place.name, beside, n=1)
    hint = f"; did you mean {Path(word).with_name(near[0])}?" if near else ""
    raise UsageError(f"{word}: no such file, folder or model{hint}")


def _with_options(
    verb: Callable[..., Any],
    parameters: Sequence[inspect.Parameter],
    found: Callable[[dict[str, Any], Callable[[str | None], "NamedModel"]], dict[str, Any]],
) -> Callable[..., Any]:
    """A verb with these parameters and, before the last one, the options above; `found` says what it is called with."""
    added = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
    ]

    @wraps(verb)
    def chosen(**given: Any) -> Any:
        passed = {name: value for name, value in given.items() if name not in _OPTIONS}
        options = {name: given.get(name, default) for name, (_, default) in _OPTIONS.items()}
        return verb(**found(passed, partial(_named, **options)))

    every = [*parameters[:-1], *added, parameters[-1]]
    chosen.__signature__ = inspect.signature(verb).replace(parameters=every)  # type: ignore[attr-defined]
    chosen.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    return chosen


def _is_of_pictures(word: str) -> bool:
    """Whether a first word names pictures, where a model may stand."""
    from payattention.pictures.finding import looked_through
    from payattention.pictures.kinds import is_picture
    from payattention.weights.header import CONFIG, WEIGHTS

    path = Path(word)
    if path.is_dir():
        of_a_run = any((path / name).exists() for name in (CONFIG, WEIGHTS))
        return not of_a_run and bool(looked_through(path).pictures)
    return word == "-" or is_picture(path)


def _named(text: str | None, pretrained: bool, weights: Path | None, class_names: Path | None) -> "NamedModel":
    from payattention.weights.named import named

    classes = None if class_names is None else _lines(class_names)
    model = named(text, pretrained=pretrained, weights=weights, classes=classes)
    if text is None:
        _tell_default(model.text)
    return model


def _tell_default(name: str) -> None:
    """On standard error, which model it is that nobody named, and how to have a better one."""
    from payattention.weights.bundled import better_than, card

    better = better_than(name)
    more = "" if better is None else f"; a better one, {card(better).lacks}"
    print(f"note: no model is named, so it is {name}: {card(name).summary}{more}", file=sys.stderr)


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
