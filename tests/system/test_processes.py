"""Several processes train what one would: the same images, the same batch norm, the same weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from timm.layers import BatchNormAct2d

from launching import run_in_two_processes, torchrun
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.system.processes import ALONE, Processes, here
from payattention.training.batches import DeviceSet
from payattention.training.execution import Execution
from payattention.training.features import FeatureSet
from payattention.training.recipe import Recipe
from payattention.training.synchronised_batch_norm import SynchronisedBatchNorm, batch_norm

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(summary="test", epochs=4, batch_size=12, shift=2, cutout=6, flips="half", sizes=(0.5, 1.0))
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SLURM = {"SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "job"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ALONE),
        (TORCHRUN, Processes(5, 8, 1, 2, "torchrun")),
        (SLURM, Processes(5, 8, 1, 2, "slurm")),
        (SLURM | TORCHRUN, Processes(5, 8, 1, 2, "torchrun")),  # torchrun started by srun
        (SLURM | {"SLURM_JOB_NAME": "bash"}, ALONE),
        (SLURM | {"SLURM_NTASKS": "1"}, ALONE),
    ],
)
def test_launchers_are_told_by_their_variables(
    variables: dict[str, str], found: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TORCHRUN | SLURM:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert here() == found
    assert found.on_each_node == found.count // found.nodes


@pytest.fixture
def features(image_set: ImageSet) -> FeatureSet:
    return FeatureSet({"level": torch.rand(2, 32, 3, 2, 2)}, torch.from_numpy(image_set.labels))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # they are read
@given(count=st.sampled_from([1, 2, 3, 4, 6, 12]), seed=st.integers(0, 99), number=st.integers(0, 3))
@pytest.mark.parametrize("kind", ["images", "features"])
def test_the_shares_of_a_batch_are_the_batch(
    kind: str, count: int, seed: int, number: int, image_set: ImageSet, features: FeatureSet
) -> None:
    data = DeviceSet.of(image_set, torch.device("cpu")) if kind == "images" else features
    shares = [data.epoch(RECIPE, seed, number, processes=Processes(rank, count)) for rank in range(count)]
    for whole, *parts in zip(data.epoch(RECIPE, seed, number), *shares, strict=True):
        inputs = [part[0] for part in parts] if kind == "images" else [part[0]["level"] for part in parts]
        torch.testing.assert_close(
            torch.cat(inputs), whole[0] if kind == "images" else whole[0]["level"], rtol=0, atol=0
        )
        assert torch.equal(torch.cat([part[1] for part in parts]), whole[1])
        assert len({len(part[1]) for part in parts}) == 1


@pytest.mark.parametrize("kind", ["images", "features"])
def test_an_epoch_can_begin_at_any_batch(kind: str, image_set: ImageSet, features: FeatureSet) -> None:
    data = DeviceSet.of(image_set, torch.device("cpu")) if kind == "images" else features
    recipe = Recipe(summary="test", epochs=4, batch_size=6, shift=2, cutout=6, flips="alternating", sampling="balanced")
    whole = list(data.epoch(recipe, 7, 2))
    for first in range(6):
        rest = data.epoch(recipe, 7, 2, first)
        assert len(rest) == len(whole) - first
        for one, other in zip(rest, whole[first:], strict=True):
            assert torch.equal(one[1], other[1])
            inputs = (one[0], other[0]) if kind == "images" else (one[0]["level"], other[0]["level"])
            assert torch.equal(*inputs)


def test_a_batch_that_does_not_divide_is_refused() -> None:
    Processes(1, 4).check_batch(64)
    with pytest.raises(UsageError, match=r"a batch of 62 images does not divide among 4 processes: .*batch_size=64"):
        Processes(1, 4).check_batch(62)
    with pytest.raises(UsageError, match="batch_size=8"):
        Processes(1, 8).check_batch(4)


@pytest.fixture
def group() -> Iterator[None]:
    """A group of this process alone, in which synchronised batch norm is batch norm."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_of_one_process_it_is_batch_norm_and_so_is_its_gradient(shape: tuple[int, ...], training: bool) -> None:
    found = []
    images, gradient = torch.randn(shape) + 5, torch.randn(shape)
    for function in (F.batch_norm, batch_norm):
        x, moments = images.clone().requires_grad_(), [torch.zeros(3), torch.ones(3)]
        weight, bias = (torch.linspace(-1, 2, 3, requires_grad=True) for _ in range(2))
        y = function(x, *moments, weight, bias, training, 0.1, 1e-3)
        y.backward(gradient)
        found.append([y.detach(), *moments, x.grad, weight.grad, bias.grad])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("group")
def test_it_takes_the_place_of_every_batch_norm_also_within_other_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        "payattention.training.synchronised_batch_norm.batch_norm", lambda *a, **k: calls.append(1) or a[0]
    )
    layers = torch.nn.Sequential(torch.nn.BatchNorm2d(2), BatchNormAct2d(2))
    with SynchronisedBatchNorm():
        y = layers(torch.randn(4, 2, 3, 3))
    assert len(calls) == 2
    assert (y >= 0).all()  # the activation is still there
    layers(torch.randn(4, 2, 3, 3))
    assert len(calls) == 2


@pytest.mark.float32
@pytest.mark.parametrize(
    ("model", "nodes"), [("vgg_att2_concat_pc", 2), ("fast_att2_concat_uniform", 1)], ids=["two nodes", "one"]
)
def test_two_processes_train_the_weights_of_one(
    model: str, nodes: int, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started by torchrun from an uninstalled tree; three steps in float32, all augmentation, no dropout.

    As two machines with a process each, which share nothing but the network between them and the folder; and as one
    machine with two, of a network that makes a global feature that nothing reads: no gradient reaches what makes it.

    The rate is low, since batch norm of few channels and few images multiplies each rounding error by a hundred.
    """
    monkeypatch.chdir(tmp_path)
    for k, (pixels, label) in enumerate(zip(image_set.images, image_set.labels, strict=True)):
        file = tmp_path / "pictures" / image_set.classes[label] / f"{k:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    fields = ("batch_size=8", "optimizer=sgd", "lr=2e-4", "shift=2", "cutout=8", "flips=half")
    words = [
        "train",
        "--model",
        model,
        "--data",
        "folder:pictures",
        "--width",
        "0.0625",
        "--recipe",
        "quickstart",
        "--epochs",
        "1",
    ]
    words += ["--json", *(word for field in fields for word in ("--recipe-set", field))]
    assert run([*words, "--out", "one"]) == 0
    two, *others = torchrun(["payattention", *words, "--out", "two"], nodes)
    assert two.returncode == 0, two.stderr
    for other in others:
        assert other.returncode == 0, other.stderr
        assert other.stdout == ""
    assert not any(word in two.stderr for word in ("Warning", "GLOBAL_RANK", "distributed_backend"))
    result = json.loads(two.stdout)  # one object: the first process prints alone
    alone = json.loads(Path("one/result.json").read_text())
    assert result["processes"] == 2
    assert result["test"] == alone["test"]
    assert result["curve"][0]["loss"] == pytest.approx(alone["curve"][0]["loss"], abs=1e-5)
    assert result["curve"][0]["train_error"] == alone["curve"][0]["train_error"]
    assert result["curve"][0]["step"] == alone["curve"][0]["step"] == 3
    weights, expected = load_file("two/model.safetensors"), load_file("one/model.safetensors")
    for name in expected:
        torch.testing.assert_close(
            weights[name], expected[name], rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert {p.name for p in Path("two").iterdir()} == {p.name for p in Path("one").iterdir()}


_LEAVING = """
import gc, sys
from pathlib import Path
import numpy as np, torch
from torch.nn.parallel import DistributedDataParallel
import payattention as pa
from payattention.system.processes import here
from payattention.training.fit import fit
from payattention.training.callbacks.finiteness import Finite
from payattention.training.recipe import Recipe

if sys.argv[2] == "fails":
    Finite.on_batch_end = lambda *_: (_ for _ in ()).throw(pa.PayAttentionError("not finite"))
destroy = torch.distributed.destroy_process_group

def leave():
    held = [each for each in gc.get_objects() if isinstance(each, DistributedDataParallel)]
    print("processes", here().count, "held", len(held))
    destroy()

torch.distributed.destroy_process_group = leave
images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), np.uint8)
data = pa.ImageSet("some", "train", images, np.arange(16) % 2, ("a", "b"))
try:
    fit(pa.create_model("vgg_att_pc", 2, 0.0625), data, Recipe("test", 1, 8), out=Path(sys.argv[1]))
except pa.PayAttentionError as error:
    print(error)
"""


@pytest.mark.parametrize("ends", ["well", "fails"])
def test_nothing_holds_on_to_the_group_when_it_is_left(ends: str, tmp_path: Path) -> None:
    """Else PyTorch's reducer, let go last, can wait for ever: it did, with PyTorch 2.9 on a busy machine."""
    for done in run_in_two_processes(_LEAVING, [tmp_path / "out", ends], tmp_path):
        assert done.returncode == 0, done.stderr
        assert "processes 2 held 0" in done.stdout
        assert ("not finite" in done.stdout) == (ends == "fails")


class TestCalledWronglyByAllAlike:
    @pytest.fixture(autouse=True)
    def _second_of_eight(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        for name, value in TORCHRUN.items():
            monkeypatch.setenv(name, value)

    def test_the_first_one_says_so(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["train"]) == 2
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("RANK", "0")
        assert run(["train"]) == 2
        assert "several processes cannot agree on a new folder: name one with --out" in capsys.readouterr().err

    def test_each_says_what_failed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["train", "--data", "folder:nowhere", "--out", "run"]) == 1
        assert capsys.readouterr().err.startswith("payattention (process 5 of 8): nowhere: no such folder")

    def test_compiling_is_for_one(self) -> None:
        Execution().check()
        with pytest.raises(UsageError, match="--compile is for one process"):
            Execution(compiled=True).check()
