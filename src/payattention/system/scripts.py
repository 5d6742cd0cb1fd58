"""A function in a script of the user's: looked for before anything of the script runs, and called."""

import ast
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.system.names import unknown

_DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


def check_function(file: Path, name: str) -> None:
    """Looks for something that can be called without arguments, a function or a class; the script is not run.

    Raises:
        CheckpointError: No such file.
        PayAttentionError: What is no Python.
        UsageError: No such function, or one that takes arguments.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file")
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise PayAttentionError(f"{file}{line}: not Python ({getattr(error, 'msg', error)})") from None
    defined = {node.name: node for node in _statements(tree) if isinstance(node, _DEFINITIONS)}
    others = {own for node in _statements(tree) for own in _bound(node)}
    if not name:
        raise UsageError(f"{file}: name the function in it that makes the network, {file}:{_first(defined)}")
    if name not in {*defined, *others} and "*" not in others:
        raise unknown(f"function of {file}", name, defined, "it defines none")
    if needed := _needed(defined.get(name)):
        raise UsageError(f"{file}:{name} takes arguments ({', '.join(needed)}): name a function without any")


def called(file: Path, name: str) -> object:
    """What the function returns. It may import its neighbours, as a script does; what it prints is no output of ours.

    Raises:
        PayAttentionError: The script or the function raises anything.
    """
    check_function(file, name)
    module_name = f"script_{file.stem}"
    spec = spec_from_file_location(module_name, file)
    assert spec is not None  # its suffix is .py
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        with _neighbours(file), redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
            made = getattr(module, name)
            is_network = hasattr(made, "forward") and not isinstance(made, type)  # which can be called, too
            return made() if callable(made) and not is_network else made
    except PayAttentionError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file.resolve()]
        place = f" (line {lines[-1]})" if lines else ""
        why = str(error).strip().partition("\n")[0]
        raise PayAttentionError(
            f"{file}:{name} raised {type(error).__name__}{': ' if why else ''}{why}{place}"
        ) from error


@contextmanager
def _neighbours(file: Path) -> Iterator[None]:
    """What lies beside a script can be imported, as when Python runs it."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """What a script does at its outermost level, within its `if` and `try`, too."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            waiting += [inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt)]
            waiting += [inner for own in getattr(node, "handlers", ()) for inner in own.body]


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement gives, but a definition's; "*" for names that it does not tell."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        names = (inner for inner in ast.walk(node) if isinstance(inner, ast.Name))
        yield from (inner.id for inner in names if isinstance(inner.ctx, ast.Store))


def _needed(node: ast.stmt | None) -> list[str]:
    """The arguments that a function cannot go without, as far as it says so itself."""
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return []
    own = node.args
    positional = [*own.posonlyargs, *own.args]
    without = positional[: len(positional) - len(own.defaults)]
    only = [one for one, default in zip(own.kwonlyargs, own.kw_defaults, strict=True) if default is None]
    return [one.arg for one in (*without, *only)]


def _first(names: Mapping[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """The likeliest to make a network: a function rather than a class, and none that is private."""
    public = sorted((name for name in names if name[0] != "_"), key=lambda name: isinstance(names[name], ast.ClassDef))
    return public[0] if public else "FUNCTION"
