"""What stands in for a package while another imports it (`payattention.system.lean_imports`): what the other asks for.

A function or a class that stands in asks for the real one when it is called: by then that can be imported as ever.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from importlib import import_module, reload
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_COMPILER, _METRICS, _HUB = "torch._dynamo", "torchmetrics", "huggingface_hub"

StandIns = Mapping[str, ModuleType]
"""Modules by name, a package before what lies in it."""


def of_compiler() -> StandIns:
    """PyTorch's compiler, for decorators."""
    return {
        **_package(_COMPILER, disable=not_compiled),
        **_module(
            f"{_COMPILER}.utils", is_compile_supported=_called_later(f"{_COMPILER}.utils", "is_compile_supported")
        ),
    }


def of_metrics() -> StandIns:
    """torchmetrics, for its version."""
    return _package(_METRICS, __version__=version(_METRICS))


def of_torchvision() -> StandIns:
    """torchvision, for a norm by name and for features by tracing."""
    if find_spec("torchvision") is None:
        return {}
    tracing, norms = "torchvision.models.feature_extraction", "torchvision.ops.misc"
    traced = {name: _called_later(tracing, name) for name in ("create_feature_extractor", "get_graph_node_names")}
    return {
        **_package("torchvision"),
        **_package("torchvision.models"),
        **_module(tracing, **traced),
        **_package("torchvision.ops"),
        **_module(norms, FrozenBatchNorm2d=_class_later(norms, "FrozenBatchNorm2d")),
    }


def of_hub() -> StandIns:
    """The Hub's client, for weights to be fetched, and its errors, which only its calls raise."""
    if find_spec(_HUB) is None:
        return {}
    calls = ("HfApi", "hf_hub_download", "model_info")
    errors = ("EntryNotFoundError", "RepositoryNotFoundError")
    return {
        **_package(_HUB, **{name: _called_for_real("timm.models._hub", name) for name in calls}),
        **_module(f"{_HUB}.utils", **{name: type(name, (Exception,), {}) for name in errors}),
    }


def _module(name: str, **attributes: object) -> StandIns:
    module = ModuleType(name)
    vars(module).update(attributes)
    return {name: module}


def _package(name: str, **attributes: object) -> StandIns:
    return _module(name, __path__=[], **attributes)


def _called_later(module: str, name: str) -> Callable[..., Any]:
    """A function that imports the real one when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    return call


def _called_for_real(asker: str, name: str) -> Callable[..., Any]:
    """A function that, when it is called, has the module that asked for it ask again, for the real one and the rest."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(reload(import_module(asker)), name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    return call


def _class_later(module: str, name: str) -> type:
    """A class whose instances are the real one's, which is imported when one is made."""

    class Later(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(module), name)(*args, **kwargs)

        def __instancecheck__(cls, instance: object) -> bool:
            real = getattr(sys.modules.get(module), name, None)  # there are none before it is imported
            return real is not None and isinstance(instance, real)

    return Later(name, (), {"__module__": module})


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
