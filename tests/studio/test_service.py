"""What the page asks for, without the page: bounds, turns, what is kept, and the maps' masks."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

import payattention as pa
from payattention.attention.maps import otsu_mask, stretched, upsampled
from payattention.errors import PayAttentionError, UsageError
from payattention.studio.attacking import AttackOfOne, attacked
from payattention.studio.looking import about_classes, first_methods, look, mask_at, more_methods
from payattention.studio.service import Bounds, Studio
from payattention.studio.uploads import picture_from
from payattention.weights.named import named
from settling import settled
from tiny import encoded, pixels

UPLOADED = picture_from(encoded(pixels(height=48, width=64), "PNG"), "noise.png")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pa.save(settled(pa.create_model("vgg_att2_concat_pc", 3, width=0.0625)), tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_one_question_is_computed_at_a_time(file: Path) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(_: object) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1
        return threading.current_thread().name

    with closing(Studio([named(str(file))])) as studio, ThreadPoolExecutor(8) as people:
        threads = {*people.map(lambda _: studio.computed(work, str(file)), range(16))}
    assert most == 1
    assert len(threads) == 1


def test_no_more_wait_than_may_and_none_forever(file: Path) -> None:
    held, begun = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        begun.set()
        held.wait(60)

    with closing(Studio([named(str(file))], bounds=Bounds(waiting=1, seconds=0.2))) as studio:
        with pytest.raises(PayAttentionError, match=r"no answer within 0.2 s"):
            studio.computed(slow, str(file))
        begun.wait(60)
        with pytest.raises(PayAttentionError, match="1 others are waiting"):
            studio.computed(slow, str(file))
        held.set()


def test_an_answer_is_kept_until_others_come(file: Path) -> None:
    with closing(Studio([named(str(file))], bounds=Bounds(kept=1))) as studio:
        first = studio.look(UPLOADED, str(file))
        assert studio.look(UPLOADED, str(file)) is first
        studio.attack(UPLOADED, str(file), AttackOfOne())
        assert studio.look(UPLOADED, str(file)) is not first
        folder = studio.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_a_model_that_takes_anothers_place_is_loaded(file: Path) -> None:
    with closing(Studio([named(str(file))])) as studio:
        before = studio.look(UPLOADED, str(file)).first.probabilities
        pa.save(settled(pa.create_model("vgg_att2_concat_pc", 4, width=0.0625)), file)
        after = studio.look(UPLOADED, str(file)).first.probabilities
    assert (len(before), len(after)) == (3, 4)


def test_only_what_is_offered_can_be_chosen(file: Path) -> None:
    with closing(Studio()) as studio:
        for name in (str(file), "script.py:make", "timm:resnet18", "hf-hub:a/b", ""):
            with pytest.raises(UsageError, match="unknown model"):
                studio.look(UPLOADED, name)


@pytest.mark.float32
def test_a_mask_is_that_of_explain() -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, width=0.0625))
    one = pa.explain(model, UPLOADED.picture)
    threshold = mask_at(one.joint, one)
    assert threshold is not None
    heat = upsampled(stretched(torch.from_numpy(one.joint)[None]), one.mask.shape)[0]
    assert np.array_equal(heat.numpy() > threshold, otsu_mask(heat).numpy())
    assert np.array_equal(heat.numpy() > threshold, one.mask)
    assert mask_at(np.ones((4, 4), np.float32), one) is None


def test_any_network_has_a_map_of_a_class() -> None:
    attentive = pa.create_model("vgg_att2_concat_pc", 3, width=0.0625).eval()
    mapped = pa.create_model("vgg_gap", 3, width=0.0625).eval()
    wrapped = pa.wrap(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()))
    for model, own in ((attentive, "one map whatever"), (mapped, "of one class"), (wrapped, "not trained to attend")):
        looked = look(model, UPLOADED)
        assert {one.method for one in looked.explanations} == {*first_methods(model)}
        assert {one.target for one in looked.explanations} >= {*looked.first.top}
        assert own in about_classes(model)
        assert not {*first_methods(model)} & {*more_methods(model)}


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_an_attack_of_size_0_changes_nothing(method: str) -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, width=0.0625))
    under = attacked(model, UPLOADED, AttackOfOne(0.0, method))
    clean, *others = under.versions
    assert all(torch.equal(seen.image, clean.image) for seen in others)
    assert "noise of the same size changes nothing" in under.said
    assert len(np.unique(np.asarray(under.change(1)))) == 1


@pytest.mark.parametrize("eps", [-1.0, 16.5, float("nan"), float("inf")])
def test_a_size_out_of_range_is_refused(eps: float) -> None:
    with pytest.raises(UsageError, match="0 to 16"):
        AttackOfOne(eps)
