"""Checks of signatures while the tests run, at a fraction of what jaxtyping's own decorator takes for them.

It binds every call's arguments and passes them to two more functions, also where no shape is spoken of. Here a function
is checked by beartype itself, and is a scope of the axes' names, in which `n` is one number, only if its signature has
any. Shapes that are formulas of arguments (`"{n}"`) would need more; there are none.
"""

import dataclasses
from collections.abc import Callable
from functools import partial, wraps
from inspect import isgeneratorfunction, signature
from types import FunctionType
from typing import Any, get_args, get_type_hints

import torch
from beartype import BeartypeConf, beartype
from beartype.door import die_if_unbearable
from jaxtyping import AbstractArray, jaxtyped

_CONF = BeartypeConf(is_pep484_tower=True)  # an int may stand for a float, as Python's typing has it


def checked(thing: Any = None, **_: object) -> Any:
    """A function whose signature is checked; of a class its fields, if it is a dataclass.

    It stands in the place of `jaxtyping.jaxtyped`, as which jaxtyping's import hook calls it. While PyTorch makes a
    graph of a network, sizes are symbols and no numbers: then nothing is checked.
    """
    if thing is None:
        return checked
    if isinstance(thing, type):
        if dataclasses.is_dataclass(thing) and "__init__" in vars(thing):
            thing.__init__ = _function(thing.__init__)  # type: ignore[method-assign, misc]
        return thing
    return _function(thing)


def _function(function: Any) -> Callable[..., Any]:
    hints = {name: _known(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    if not hints:
        return function
    if isgeneratorfunction(function):
        return _generator_function(function, hints)
    typed: Callable[..., Any] | None = None  # until it is called: most functions are not, in a run of some tests
    scope = partial(jaxtyped, "context") if any(map(_has_shape, hints.values())) else None

    @wraps(function)
    def check(*values: Any, **named: Any) -> Any:
        nonlocal typed
        if torch.compiler.is_compiling():
            return function(*values, **named)
        if typed is None:
            typed = beartype(_with_hints(function, hints), conf=_CONF)
        if scope is None:
            return typed(*values, **named)
        with scope():
            return typed(*values, **named)

    return check


def _generator_function(function: Any, hints: dict[str, Any]) -> Callable[..., Any]:
    """Its arguments are checked when it is called; beartype's own check would run the generator in a frame of its own,
    at which warnings would then point."""
    takes = signature(function)
    single = {p.name for p in takes.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}

    @wraps(function)
    def check(*values: Any, **named: Any) -> Any:
        if not torch.compiler.is_compiling():
            with jaxtyped("context"):
                for name, value in takes.bind(*values, **named).arguments.items():
                    if name in hints and name in single:
                        die_if_unbearable(value, hints[name], conf=_CONF)
        return function(*values, **named)

    return check


def _known(hint: Any, names: dict[str, Any]) -> Any:
    """What an annotation means; Any where it names what is imported for mypy alone."""

    def of_one(value: Any) -> None: ...

    of_one.__annotations__ = {"value": hint}
    try:
        return get_type_hints(of_one, names, include_extras=True)["value"]
    except Exception:
        return Any


def _with_hints(function: FunctionType, hints: dict[str, Any]) -> FunctionType:
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__, twin.__annotations__ = function.__kwdefaults__, hints
    twin.__qualname__, twin.__module__ = function.__qualname__, function.__module__
    return twin


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, get_args(hint)))
