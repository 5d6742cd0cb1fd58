"""What packages import and hardly anyone calls is left out; what they do with it, they do as before."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image

import payattention as pa
from payattention.system import stand_ins
from payattention.system.lean_imports import Kept, LeanFinder, LeanLoader, OnDemand
from payattention.system.stand_ins import not_compiled, of_compiler, of_hub, of_torchvision

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
        (
            _MAPS,
            (
                *("torch._dynamo", "sklearn", "skimage", "scipy", "lightning", "matplotlib", "jinja2"),
                *("torchvision", "huggingface_hub", "timm.data.dataset"),
            ),
        ),
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


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = {*sys.modules}
    yield tmp_path
    for name in sys.modules.keys() - before:
        if name.partition(".")[0] in {"asks", "client", "data"}:
            del sys.modules[name]


def test_a_package_on_demand_gives_its_light_names_without_the_rest(packages: Path) -> None:
    (packages / "data").mkdir()
    (packages / "data" / "constants.py").write_text("MEAN = 0.5")
    (packages / "data" / "__init__.py").write_text("from .constants import MEAN\nclass Reader: pass")
    spec = PathFinder.find_spec("data")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = loader = OnDemand(spec.loader, "constants")
    sys.modules["data"] = package = module_from_spec(spec)
    loader.exec_module(package)
    assert package.MEAN == 0.5
    assert "Reader" not in vars(package)
    assert package.Reader.__name__ == "Reader"
    assert "MEAN" in vars(package)


def test_nothing_stands_in_within_a_package_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Asks(Loader):
        def exec_module(self, module: ModuleType) -> None:
            seen.extend(name in sys.modules for name in ("needless", "needless.part", "torch._needless"))

    monkeypatch.setitem(sys.modules, "needless", ModuleType("needless"))
    names = ("needless", "needless.part", "torch._needless")
    LeanLoader(Asks(), lambda: {name: ModuleType(name) for name in names}).exec_module(ModuleType("package"))
    assert seen == [True, False, True]


def test_what_asked_for_a_stand_in_asks_again_when_it_is_called(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is caught by name is then the real one."""
    (packages / "client.py").write_text("class Missing(Exception): pass\ndef fetch(what): raise Missing(what)")
    (packages / "asks.py").write_text(
        "from client import Missing, fetch\n"
        "def asked(what):\n"
        "    try:\n"
        "        return fetch(what)\n"
        "    except Missing as error:\n"
        "        return f'no {error}'\n"
    )
    client = ModuleType("client")
    client.fetch = stand_ins._called_for_real("asks", "fetch")  # type: ignore[attr-defined]
    client.Missing = type("Missing", (Exception,), {})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "client", client)
        asks = import_module("asks")
        asked = asks.asked
    assert asks.fetch is client.fetch
    assert asked("weights") == "no weights"
    assert asks.fetch is sys.modules["client"].fetch


def test_what_stands_in_is_what_timm_asks_for() -> None:
    """The names that this timm takes of each package, and the class and the functions do what the real ones do."""
    for modules in (of_compiler(), of_torchvision(), of_hub()):
        for name, module in modules.items():
            real = import_module(name)
            assert all(hasattr(real, own) for own in vars(module) if not own.startswith("__"))
    norm = of_torchvision()["torchvision.ops.misc"].FrozenBatchNorm2d
    assert type(norm(4)) is torchvision.ops.misc.FrozenBatchNorm2d
    assert isinstance(norm(4), norm)
    assert not isinstance(torch.nn.BatchNorm2d(4), norm)
    tracing = of_torchvision()["torchvision.models.feature_extraction"]
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.ReLU())
    assert tracing.get_graph_node_names(network)[1] == ["input", "0", "1"]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_looked_through_for_garbage_while_it_is_made_nor_afterwards(fails: bool) -> None:
    enabled: list[bool] = []

    class Makes(Loader):
        def exec_module(self, module: ModuleType) -> None:
            enabled.append(gc.isenabled())
            module.made = [[] for _ in range(1000)]  # type: ignore[attr-defined]
            if fails:
                raise ImportError

    before, package = gc.get_freeze_count(), ModuleType("package")
    try:
        with pytest.raises(ImportError) if fails else nullcontext():
            Kept(Makes()).exec_module(package)
        assert enabled == [False]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + 1000
    finally:
        gc.unfreeze()
