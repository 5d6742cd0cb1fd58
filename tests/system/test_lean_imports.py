"""What packages import for a version or a decorator is left out; what they do with it, they do as before."""

import subprocess
import sys
from importlib.abc import Loader
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import payattention as pa
from payattention.system.lean_imports import LeanFinder, LeanLoader, OnDemand, not_compiled

_COMMAND = """
import sys
from payattention.cli.app import main
sys.argv = ["payattention", *sys.argv[1:]]
try:
    main()
finally:
    print([name for name in FORBIDDEN if name in sys.modules])
"""
_MAPS = ["maps", "model.safetensors", "picture.png", "--out", "maps"]
_SMALL = ["--model", "vgg_att_pc", "--width", "0.0625", "--epochs", "1"]
_TRAIN = ["train", *_SMALL, "--data", "folder:pictures", "--out", "run"]


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (_MAPS, ("torch._dynamo", "sklearn", "skimage", "scipy", "lightning")),
        (_TRAIN, ("torchmetrics", "transformers", "matplotlib", "lightning.pytorch", "timm")),
    ],
)
def test_a_command_starts_without(words: list[str], forbidden: tuple[str, ...], tmp_path: Path) -> None:
    pa.save(pa.attach("test_efficientnet", 3, levels=2), tmp_path / "model.safetensors")
    for k, place in enumerate([".", *("pictures/a", "pictures/b") * 5]):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        name = "picture.png" if k == 0 else f"{k}.png"
        Image.fromarray(np.full((64, 64, 3), 20 * k, np.uint8)).save(tmp_path / place / name)
    code = f"FORBIDDEN = {forbidden}\n{_COMMAND}"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


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


def test_only_these_packages_and_none_that_is_found_elsewhere() -> None:
    finder = LeanFinder()
    assert finder.find_spec("numpy") is None
    found = finder.find_spec("timm")
    assert found is not None
    assert found.origin == timm.__file__


def test_what_stands_in_is_gone_afterwards_and_never_in_place_of_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ModuleType | None] = []

    class Asks(Loader):
        def exec_module(self, module: ModuleType) -> None:
            seen.append(sys.modules.get("needless"))
            assert seen[-1] is not None
            assert seen[-1].__version__ == "1"  # type: ignore[attr-defined]

    stand_in, real = ModuleType("needless"), ModuleType("needless")
    stand_in.__version__ = real.__version__ = "1"  # type: ignore[attr-defined]
    loader = LeanLoader(Asks(), lambda: {"needless": stand_in})
    loader.exec_module(ModuleType("package"))
    assert "needless" not in sys.modules
    monkeypatch.setitem(sys.modules, "needless", real)
    loader.exec_module(ModuleType("package"))
    assert seen == [stand_in, real]
    assert sys.modules["needless"] is real


def test_a_package_that_needs_more_is_loaded_without_stand_ins() -> None:
    tries: list[bool] = []

    class Needs(Loader):
        def exec_module(self, module: ModuleType) -> None:
            tries.append("needless" in sys.modules)
            if tries[-1]:
                raise ImportError("cannot import name 'more' from 'needless'")

    LeanLoader(Needs(), lambda: {"needless": ModuleType("needless")}).exec_module(ModuleType("package"))
    assert tries == [True, False]


def test_a_package_on_demand_is_loaded_for_its_first_attribute() -> None:
    loaded = []

    class Package(Loader):
        def exec_module(self, module: ModuleType) -> None:
            loaded.append(module)
            module.answer = 42  # type: ignore[attr-defined]

    package = ModuleType("package")
    OnDemand(Package()).exec_module(package)
    assert not hasattr(package, "__wrapped__")
    assert loaded == []
    assert (package.answer, package.answer) == (42, 42)
    assert loaded == [package]
    assert not hasattr(package, "question")
