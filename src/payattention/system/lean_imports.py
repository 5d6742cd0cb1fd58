"""What other packages import and no command needs, left out: up to half of a command's start.

timm and torchvision import `torch._dynamo`, PyTorch's compiler, two to three seconds of a process, only to decorate
functions that must not be compiled. lightning's Fabric imports torchmetrics, and by it transformers, matplotlib and
more, only to compare its version. While these are imported, something stands in that place which has no more than they
ask for. The decorator asks for the compiler when the function is called: by then it is there, if anything is compiled
at all. And lightning itself is imported when something of it is asked for beside its Fabric.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from types import ModuleType
from typing import Any

_COMPILER, _METRICS = "torch._dynamo", "torchmetrics"


def lean_imports() -> None:
    """From here on, these packages are imported so; for programs, not for a library in another's process."""
    if not any(isinstance(finder, LeanFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LeanFinder())


class LeanFinder(MetaPathFinder):
    """Finds these packages as Python does, and has them loaded with stand-ins for what is not there yet."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _LOADERS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LOADERS[name](spec.loader)
        return spec


class LeanLoader(Loader):
    """Another loader's work, done with stand-ins; done again without them, should that fail."""

    def __init__(self, loader: Loader, stand_ins: Callable[[], Mapping[str, ModuleType]]) -> None:
        self._loader, self._stand_ins = loader, stand_ins

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            with _standing_in(self._stand_ins()):
                self._loader.exec_module(module)
        except (ImportError, AttributeError):  # it needs more than the stand-ins have
            self._loader.exec_module(module)


class OnDemand(Loader):
    """Another loader's work, done when something of the package is asked for that is no module of its."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def load(name: str) -> Any:
            if name.startswith("__"):  # the import system's own questions
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            del module.__getattr__
            self._loader.exec_module(module)
            return getattr(module, name)

        module.__getattr__ = load  # type: ignore[method-assign]


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    modules = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules |= modules
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _compiler() -> dict[str, ModuleType]:
    package, functions = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    package.__path__ = []
    package.disable = not_compiled  # type: ignore[attr-defined]
    functions.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    return {_COMPILER: package, f"{_COMPILER}.utils": functions}


def _metrics() -> dict[str, ModuleType]:
    package = ModuleType(_METRICS)
    package.__version__ = version(_METRICS)  # type: ignore[attr-defined]
    return {_METRICS: package}


_LOADERS: dict[str, Callable[[Loader], Loader]] = {
    "timm": lambda loader: LeanLoader(loader, _compiler),
    "torchvision": lambda loader: LeanLoader(loader, _compiler),
    "lightning": OnDemand,
    "lightning.fabric": lambda loader: LeanLoader(loader, _metrics),
}


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
