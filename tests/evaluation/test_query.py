"""The query's effect, against a plain loop, and where theory says what it must be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation.query import query_effect, total_variation


def test_total_variation_by_hand() -> None:
    a = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]], [[3.0, 1.0]]])
    b = torch.tensor([[[0.5, 0.5]], [[0.0, 2.0]], [[1.0, 1.0]]])  # equal, disjoint, (.75, .25) and (.5, .5)
    torch.testing.assert_close(total_variation(a, b), torch.tensor([0.0, 1.0, 0.25]))


@pytest.mark.float32
@pytest.mark.parametrize("compatibility", ["pc", "dp", "additive"])
def test_against_a_loop_over_single_images(compatibility: str, image_set: ImageSet) -> None:
    labels = np.array([0, 0, 1, 1, 0], np.int64)  # the next of another class: 2, 2, 4, 4, 2
    data = replace(image_set, images=image_set.images[:5], labels=labels, masks=None)
    model = pa.create_model("vgg_att2_concat_pc", 2, 0.0625, compatibility=compatibility).eval()
    pixels = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 255
    distances: dict[str, list[float]] = {name: [] for name in model.levels}
    changed = 0
    for k, partner in enumerate([2, 2, 4, 4, 2]):
        own = model.attend(pixels[k : k + 1])
        other = model.attend(pixels[k : k + 1], pixels[partner : partner + 1])
        changed += int(own.logits.argmax() != other.logits.argmax())
        for name in model.levels:
            distances[name].append(sum((own.maps[name] - other.maps[name]).abs().flatten().tolist()) / 2)
    result = query_effect(model, data)
    assert result.count == 5
    assert result.changed == pytest.approx(20 * changed)
    for name, found in distances.items():
        assert result.distance[name] == pytest.approx(sum(found) / 5, abs=2e-6)
        if compatibility == "pc":
            assert result.distance[name] < 1e-6
        else:
            assert result.distance[name] > 1e-6


def test_a_model_without_a_query(image_set: ImageSet) -> None:
    with pytest.raises(UsageError, match="vgg has no query"):
        query_effect(pa.create_model("vgg", 2, 0.0625), image_set)


def test_a_single_image(image_set: ImageSet) -> None:
    model = pa.create_model("vgg_att_pc", 2, 0.0625)
    with pytest.raises(UsageError, match="single image"):
        query_effect(model, image_set.first(1))
