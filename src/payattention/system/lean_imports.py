"""What other packages import and no command needs, left out: up to half of a command's start.

timm and torchvision import `torch._dynamo`, PyTorch's compiler, two to three seconds of a process, only to decorate
functions that must not be compiled; timm imports all of torchvision for a class and two functions that hardly anyone
calls, its own readers of data sets for a few numbers, and the Hub's client for what only pre-trained weights ask for.
lightning's Fabric imports torchmetrics, and by it transformers, matplotlib and more, only to compare its version. While
these are imported, something stands in that place which has no more than they ask for
(`payattention.system.stand_ins`). lightning itself, and timm's data sets, are imported when something of them is asked
for beside what the other needs.

gradio writes a stub of each of its components beside that component's source, and reads them all again at every import:
twice the time of the import itself. Here it does not.

What PyTorch and timm make when they are imported, half a million objects, stays to the end. Python looks through them
for garbage again and again, half a second in all: it does not while they are made, nor ever after.
"""

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from payattention.system.stand_ins import of_compiler, of_hub, of_metrics, of_torchvision


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


class _Loader(Loader):
    """Another loader's work, done in another way."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)


class Kept(_Loader):
    """Without looking for garbage meanwhile, nor ever after in what is there then."""

    def exec_module(self, module: ModuleType) -> None:
        enabled = gc.isenabled()
        gc.disable()
        try:
            self._loader.exec_module(module)
        finally:
            gc.freeze()
            if enabled:
                gc.enable()


class WithoutStubs(_Loader):
    """gradio's maker of components, without writing files into its own package."""

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if hasattr(module, "create_or_modify_pyi"):
            vars(module)["create_or_modify_pyi"] = lambda *_: None


class LeanLoader(_Loader):
    """With stand-ins; done again without them, should that fail."""

    def __init__(self, loader: Loader, *stand_ins: Callable[[], Mapping[str, ModuleType]]) -> None:
        super().__init__(loader)
        self._stand_ins = stand_ins

    def exec_module(self, module: ModuleType) -> None:
        try:
            with _standing_in({name: own for some in self._stand_ins for name, own in some().items()}):
                self._loader.exec_module(module)
        except (ImportError, AttributeError):  # it needs more than the stand-ins have
            self._loader.exec_module(module)


class OnDemand(_Loader):
    """When something of the package is asked for that is no module of its, nor a name in that one of them."""

    def __init__(self, loader: Loader, light: str | None = None) -> None:
        super().__init__(loader)
        self._light = light

    def exec_module(self, module: ModuleType) -> None:
        def load(name: str) -> Any:
            if name.startswith("__"):  # the import system's own questions
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            if self._light and hasattr(own := import_module(f"{module.__name__}.{self._light}"), name):
                return getattr(own, name)
            del module.__getattr__
            self._loader.exec_module(module)
            return getattr(module, name)

        module.__getattr__ = load  # type: ignore[method-assign]


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Modules in place of those that are not there yet; none within a package that is there."""
    placed: dict[str, ModuleType] = {}
    for name, module in modules.items():
        packages = {package for package in modules if name.startswith(f"{package}.")}
        if name not in sys.modules and packages <= placed.keys():
            placed[name] = module
    sys.modules |= placed
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


_LOADERS: dict[str, Callable[[Loader], Loader]] = {
    "torch": Kept,
    "timm": lambda loader: Kept(LeanLoader(loader, of_compiler, of_torchvision, of_hub)),
    "timm.data": lambda loader: OnDemand(loader, "constants"),
    "torchvision": lambda loader: LeanLoader(loader, of_compiler),
    "gradio.component_meta": WithoutStubs,
    "lightning": OnDemand,
    "lightning.fabric": lambda loader: LeanLoader(loader, of_metrics),
}
