"""Types and shapes in signatures are checked while the tests run: jaxtyping's annotations, beartype as the checker.

In every module but those where wrong values of users arrive, whose errors are ours to test. This happens before
anything of the package is imported. `PAYATTENTION_SHAPES=0` switches it off.
"""

import os
from importlib.util import find_spec
from pathlib import Path

OURS_TO_REFUSE = (
    "cli",
    "explaining.explain",
    "models.classifier",
    "models.registry",
    "models.timm_backbones.attach",
    "models.wrapped",
    "pictures.sources",
    "runs.config",
    "training.recipe",
)


def checked_modules() -> list[str]:
    """The modules of the package but those of `OURS_TO_REFUSE`, by their files: a new one cannot escape."""
    spec = find_spec("payattention")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    files = (file.relative_to(root).with_suffix("") for file in root.rglob("*.py") if not file.stem.startswith("__"))
    names = sorted(".".join(file.parts) for file in files)
    return [
        f"payattention.{name}" for name in names if not f"{name}.".startswith(tuple(f"{n}." for n in OURS_TO_REFUSE))
    ]


if os.environ.get("PAYATTENTION_SHAPES") != "0":
    import jaxtyping

    from checking import checked

    jaxtyping.install_import_hook(checked_modules(), "checking.checked")
    jaxtyping.jaxtyped = checked  # which is what the hook writes above each function

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from payattention.data import ImageSet
from payattention.data.places import CACHE_VARIABLE, VARIABLE
from payattention.models import Classifier, create_model
from payattention.system.machine import choosing

SMALL = 0.0625


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two pytest workers share two cores; so do the programs that they start."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bf16", action="store_true", help="run in bf16 all tests but those marked float32")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--bf16"):
        kept = [item for item in items if item.get_closest_marker("float32") is None]
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("float32")])
        items[:] = kept


@pytest.fixture(autouse=True)
def _precision(request: pytest.FixtureRequest) -> Iterator[None]:
    with choosing("auto", "bf16" if request.config.getoption("--bf16") else "auto", None):
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded pictures are kept with the test's other files."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "decoded"))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32)


@pytest.fixture
def model() -> Classifier:
    """A small att2 network with the first classes of CIFAR-10, in evaluation mode."""
    model = create_model("vgg_att2_concat_pc", num_classes=3, width=SMALL)
    model.classes = ("airplane", "automobile", "bird")
    return model.eval()


@pytest.fixture
def image_set() -> ImageSet:
    """32 noise images of two classes that differ in brightness, with masks of the upper left corner."""
    random = np.random.default_rng(0)
    labels = np.arange(32) % 2
    images = random.integers(0, 128, (32, 32, 32, 3)) + 127 * labels[:, None, None, None]
    masks = np.zeros((32, 32, 32), np.bool_)
    masks[:, :8, :8] = True
    return ImageSet("noise", "train", images.astype(np.uint8), labels.astype(np.int64), ("dark", "bright"), masks)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A 50x40 picture file: red on the left, blue on the right."""
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[:, :25, 0] = pixels[:, 25:, 2] = 255
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets, where there is one."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"needs real data: set {VARIABLE} to its folder")
    return Path(os.environ[VARIABLE])
