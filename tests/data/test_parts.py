"""Held-out parts, fewer images, fewer classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payattention.data import ImageSet, held_out, limited, of_classes
from payattention.errors import UsageError


def numbered(counts: list[int]) -> ImageSet:
    """A set whose first pixel is the image's number, with so many images of each class, mixed."""
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    images = np.zeros((len(labels), 2, 2, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
    masks = np.zeros(images.shape[:3], np.bool_)
    masks[::2] = True
    return ImageSet(
        "numbers", "train", images, labels.astype(np.int64), tuple(f"c{k}" for k in range(len(counts))), masks
    )


def numbers(data: ImageSet) -> list[int]:
    first = data.images[:, 0, 0].astype(int)
    return (first[:, 0] + 256 * first[:, 1]).tolist()


def true_to(part: ImageSet, whole: ImageSet) -> bool:
    """Whether each image has kept its class and its mask."""
    names = [whole.classes[whole.labels[number]] for number in numbers(part)]
    assert part.masks is not None
    return [part.classes[label] for label in part.labels] == names and all(
        mask.all() == (number % 2 == 0) for mask, number in zip(part.masks, numbers(part), strict=True)
    )


COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=5)


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, share=st.floats(0.05, 0.95))
def test_a_held_out_part_is_stratified_disjoint_and_the_same_every_time(counts: list[int], share: float) -> None:
    whole = numbered(counts)
    wanted = [min(round(share * count), count - 1) for count in counts]
    if not any(wanted):
        with pytest.raises(UsageError, match="holds out no image"):
            held_out(whole, share)
        return
    kept, apart = held_out(whole, share)
    assert sorted(numbers(kept) + numbers(apart)) == list(range(sum(counts)))
    assert apart.class_counts.tolist() == wanted
    assert true_to(kept, whole)
    assert true_to(apart, whole)
    assert numbers(held_out(whole, share)[1]) == numbers(apart)
    assert (kept.split, apart.split) == ("train less held-out", "held-out")


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, limit=st.integers(1, 100))
def test_a_limit_takes_evenly_from_all_classes(counts: list[int], limit: int) -> None:
    whole = numbered(counts)
    part = limited(whole, limit)
    assert len(part) == min(limit, sum(counts))
    assert true_to(part, whole)
    assert numbers(part) == sorted(numbers(part))
    left = [count for part_count, count in zip(part.class_counts, counts, strict=True) if part_count < count]
    most = max(part.class_counts)
    assert (
        all(taken >= min(count, most - 1) for taken, count in zip(part.class_counts, counts, strict=True)) or not left
    )
    assert set(numbers(limited(whole, max(1, limit - 1)))) <= set(numbers(part))


def test_a_limit_above_all_images_copies_nothing() -> None:
    whole = numbered([3, 3])
    assert limited(whole, 6) is whole


def test_chosen_classes_are_numbered_in_the_sets_order() -> None:
    whole = numbered([3, 4, 5])
    part = of_classes(whole, ["c2", "c0"])
    assert part.classes == ("c0", "c2")
    assert part.class_counts.tolist() == [3, 5]
    assert true_to(part, whole)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda data: held_out(data, 1.0), "between 0 and 1"),
        (lambda data: held_out(data, float("nan")), "between 0 and 1"),
        (lambda data: limited(data, 0), "at least 1"),
        (lambda data: of_classes(data, ["c0", "d1"]), "did you mean 'c1'"),
    ],
)
def test_impossible_parts_are_refused(wrong, words: str) -> None:  # type: ignore
    with pytest.raises(UsageError, match=words):
        wrong(numbered([3, 3]))
