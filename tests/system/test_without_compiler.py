"""timm is imported without PyTorch's compiler, and what it keeps from being compiled is kept from it all the same."""

import subprocess
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import payattention as pa
from payattention.system.without_compiler import WithoutCompiler, _Loader, not_compiled

_MAPS = """
import sys
sys.argv = ["payattention", "maps", "model.safetensors", "picture.png", "--out", "maps"]
from payattention.cli.app import main
try:
    main()
finally:
    loaded = [name for name in ("torch._dynamo", "sklearn", "skimage", "scipy", "lightning") if name in sys.modules]
    print("timm" in sys.modules, loaded)
"""


def test_a_command_that_uses_timm_starts_without_it(tmp_path: Path) -> None:
    pa.save(pa.attach("test_efficientnet", 3, levels=2), tmp_path / "model.safetensors")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "picture.png")
    done = subprocess.run([sys.executable, "-c", _MAPS], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True []"
    assert (tmp_path / "maps" / "sheet.png").is_file()


def test_a_function_is_kept_from_the_compiler_when_it_is_called() -> None:
    compiling = []

    @not_compiled
    def outside(x: torch.Tensor) -> torch.Tensor:
        compiling.append(torch.compiler.is_compiling())
        return x + 1

    def both(x: torch.Tensor) -> torch.Tensor:
        return outside(x * 2) * 3

    x = torch.arange(3.0)
    assert torch.equal(torch.compile(both, backend="eager")(x), both(x))
    assert compiling == [False, False]
    torch.compiler.reset()
    with pytest.raises(Exception, match=r"[Dd]isable"):
        torch.compile(both, backend="eager", fullgraph=True)(x)
    assert outside.__name__ == "outside"


def test_only_timm_and_torchvision_and_only_before_the_compiler_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = WithoutCompiler()
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    assert finder.find_spec("numpy") is None
    found = finder.find_spec("timm")
    assert found is not None
    assert found.origin == timm.__file__
    monkeypatch.setitem(sys.modules, "torch._dynamo", ModuleType("torch._dynamo"))
    assert finder.find_spec("timm") is None


def test_a_package_that_needs_more_of_the_compiler_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Needs(Loader):
        def create_module(self, spec: ModuleSpec) -> None:
            return None

        def exec_module(self, module: ModuleType) -> None:
            compiler = sys.modules.get("torch._dynamo")
            seen.append(compiler is real)
            compiler.config  # type: ignore[union-attr]  # noqa: B018

    real = ModuleType("torch._dynamo")
    real.config = None  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    monkeypatch.delitem(sys.modules, "torch._dynamo.utils", raising=False)
    loader = _Loader(Needs())
    with pytest.raises(AttributeError):  # nothing brings the real one here
        loader.exec_module(ModuleType("package"))
    assert "torch._dynamo" not in sys.modules
    monkeypatch.setitem(sys.modules, "torch._dynamo", real)
    loader.exec_module(ModuleType("package"))
    assert seen == [False, False, True]
