"""timm and torchvision, imported without PyTorch's compiler, which is most of the start of a command that uses them.

Both import `torch._dynamo`, two to three seconds of a process, only to decorate functions that must not be compiled.
While they are imported, something stands in its place whose decorator asks for the compiler when the function runs: by
then it is there, if anything is compiled at all.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_IMPORT_IT = ("timm", "torchvision")


class WithoutCompiler(MetaPathFinder):
    """Finds timm and torchvision as Python does, and has them loaded without the compiler."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _IMPORT_IT or _COMPILER in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Another loader's work, done without the compiler; done again with it, should that fail."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            with _stand_in():
                self._loader.exec_module(module)
        except (ImportError, AttributeError):  # it needs more of the compiler than its decorator
            self._loader.exec_module(module)


def import_without_compiler() -> None:
    """From here on, timm and torchvision are imported so; for programs, not for a library in another's process."""
    if not any(isinstance(finder, WithoutCompiler) for finder in sys.meta_path):
        sys.meta_path.insert(0, WithoutCompiler())


@contextmanager
def _stand_in() -> Iterator[None]:
    if _COMPILER in sys.modules:  # the real one, or torchvision is imported by timm
        yield
        return
    modules = {_COMPILER: ModuleType(_COMPILER), f"{_COMPILER}.utils": ModuleType(f"{_COMPILER}.utils")}
    compiler, functions = modules.values()
    compiler.__path__ = []
    compiler.disable = not_compiled  # type: ignore[attr-defined]
    functions.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules |= modules
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def not_compiled(function: Callable[..., Any], recursive: bool = True, *, reason: str | None = None) -> Any:
    """What `torch.compiler.disable` makes of a function, made when the function is called."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)  # nothing is compiled before it is imported
        called = compiler.disable(function, recursive, reason=reason) if compiler else function
        return called(*args, **kwargs)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]  # by this the compiler knows such functions
    call._torchdynamo_disable_msg = reason  # type: ignore[attr-defined]
    return call


def _is_compile_supported(device: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device))
