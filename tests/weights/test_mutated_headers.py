"""Headers that others wrote: one field of another kind or size, and what comes of it.

`PAYATTENTION_MUTATIONS=2000 pytest tests/weights/test_mutated_headers.py -s` tries as many as that, and counts.
"""

import copy
import json
import os
import random
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import payattention as pa
from payattention.errors import CheckpointError
from payattention.models import list_models

COUNT = int(os.environ.get("PAYATTENTION_MUTATIONS", "120"))
SPARE = 300 * 2**20  # bytes
SMALL = 0.0625


def models() -> dict[str, pa.Classifier]:
    attentive = pa.create_model("vgg_att3_concat_pc", 3, SMALL)
    attentive.classes = ("a", "b", "c")
    return {
        "attentive": attentive,
        "pruned": pa.prune(attentive),
        "folded": pa.fold(pa.create_model("vgg", 3, SMALL, preprocessing="yuv_lcn")),
        "transformer": pa.attach("test_vit", 3, img_size=96, compatibility="dp"),
        "convolutional": pa.attach("test_efficientnet", 3, levels=1),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("headers")
    return [pa.save(model, folder / f"{name}.safetensors") for name, model in models().items()]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: list[Any] = [
    *(None, True, False, "", "x", "cat" * 2000, "../../etc/passwd", "https://example.com/x", "\u202e\x00"),
    *(-1, 0, 1, 2, 3, 31, 2**31, 10**9, 2**63, 10**400, -0.5, 0.0, 0.07, 1.0, 7.9, 1e9, 1e308, float("nan")),
    *(float("inf"), [], [1], ["a"], ["a", "b", "c"], ["a"] * 1000, {}, {"a": 1}, {"name": "vgg"}, nested(50)),
    *("dp", "pc", "local", "concat", "additive", "indep", "sigmoid", "gcn_zca", "yuv_lcn", "up", "after", "cub"),
    *("timm:vit_giant_patch14_dinov2.lvd142m", "timm:resnet18.a1_in1k", "timm:swin_tiny_patch4_window7_224"),
    *("timm:hf-hub:user/name", "hf-hub:user/name", "timm:", "module:VGG", "squash", "center", *list_models()),
]


def mutated(header: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """One field, or now and then two, of the header or of the network's options: another value, or none."""
    header = copy.deepcopy(header)
    for _ in range(1 if draw.random() < 0.9 else 2):
        options = header.get("options")
        place = options if isinstance(options, dict) and draw.random() < 0.4 else header
        known = [*place, "img_size", "in_chans", "checkpoint_path", "pretrained", "width", "any_size"]
        field = draw.choice(known)
        old = place.get(field)
        if draw.random() < 0.05:
            place.pop(field, None)
        elif type(old) is int and draw.random() < 0.3:
            place[field] = old + draw.choice([-1, 1, 100, 4000])
        else:
            place[field] = draw.choice(VALUES)
    return header


@contextmanager
def memory_limited(spare: int) -> Iterator[None]:
    """Whatever asks for more memory than this fails, instead of getting it."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("needs Linux to limit memory")
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("payattention.models.timm_backbones.backbone.create_pretrained", refuse)


def outcome(file: Path) -> str:
    """ "refused" in one line, or "works" on a small picture; anything else is raised."""
    with memory_limited(file.stat().st_size + SPARE):
        try:
            model = pa.load(file)
        except CheckpointError as error:
            return "refused" if "\n" not in str(error) and len(str(error)) < 1000 else f"refused unclearly: {error}"
        side = max(model.min_size, 32)
        with torch.no_grad():
            logits = model(torch.rand(1, 3, side, side))
        assert logits.shape == (1, model.config.num_classes)
        assert logits.isfinite().all()
        assert len(model.classes) in (0, logits.shape[1])
        assert model.image_size >= model.min_size
        model.prepared(torch.rand(1, 3, model.image_size, model.image_size)[:, :, :512, :512])
    return "works"


@pytest.mark.usefixtures("_offline")
def test_a_mutated_header_is_refused_or_makes_a_model_that_works(files: list[Path], tmp_path: Path) -> None:
    draw, counts = random.Random(0), Counter[str]()
    tensors = {file: load_file(file) for file in files}
    headers = {file: header_of(file) for file in files}
    for file in files:
        assert outcome(file) == "works"
    for number in range(COUNT):
        source = files[number % len(files)]
        header = mutated(headers[source], draw)
        file = tmp_path / "mutated.safetensors"
        save_file(tensors[source], file, metadata={"payattention": json.dumps(header)})
        try:
            counts[outcome(file)] += 1
        except BaseException as error:
            error.add_note(f"mutation {number} of {source.stem}: {json.dumps(header)[:2000]}")
            raise
    print(f"{COUNT} mutated headers: {dict(counts)}")
    assert set(counts) == {"refused", "works"}


def header_of(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()["payattention"])
