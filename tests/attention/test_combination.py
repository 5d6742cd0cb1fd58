"""How levels become one map, against hand-made maps; and that a model keeps its rule."""

from pathlib import Path

import pytest
import torch

import payattention as pa
from payattention.attention.combination import COMBINATIONS, create_combination
from payattention.attention.maps import joint, stretched
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation import pointing
from settling import settled

FINE = torch.tensor([[[1.0, 4.0], [9.0, 16.0]]])
COARSE = torch.tensor([[[5.0]]])
LEVELS = ("layer7", "layer10", "layer13")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("product", [[5.0**0.5, 20**0.5], [45**0.5, 80**0.5]]),
        # the means are 7.5 and 5: each divided by its own
        ("mean", [[(1 / 7.5 + 1) / 2, (4 / 7.5 + 1) / 2], [(9 / 7.5 + 1) / 2, (16 / 7.5 + 1) / 2]]),
        ("last", [[5.0]]),
        ("fine", [[1.0, 4.0], [9.0, 16.0]]),
    ],
)
def test_rules_by_hand(rule: str, expected: list[list[float]]) -> None:
    combined = create_combination(rule, ("fine", "coarse"))([FINE, COARSE])
    torch.testing.assert_close(combined, torch.tensor([expected]))


def test_a_mean_is_of_all_levels_and_does_not_ask_for_their_unit() -> None:
    mean = create_combination("mean", LEVELS)
    maps = [torch.rand(2, 8, 8), torch.rand(2, 4, 4), torch.rand(2, 2, 2)]
    torch.testing.assert_close(mean([maps[0] * 7, maps[1], maps[2] / 100]), mean(maps))
    assert not torch.allclose(mean(maps), mean([torch.rand(2, 8, 8), *maps[1:]]))
    assert mean([torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)]).tolist() == [[[0, 0], [0, 0]]]


@pytest.mark.parametrize("rule", [*COMBINATIONS, "layer10"])
def test_a_model_keeps_its_rule_wherever_its_maps_are_combined(rule: str, image_set: ImageSet, tmp_path: Path) -> None:
    model = settled(pa.create_model("vgg_att3_concat_pc", 2, 0.0625, combination=rule))
    loaded = pa.load(pa.save(model, tmp_path))
    maps = loaded.attend(torch.rand(2, 3, 32, 32)).maps
    by_hand = {
        "product": lambda: joint(list(maps.values())),
        "mean": lambda: create_combination("mean", LEVELS)(list(maps.values())),
        "last": lambda: maps["layer13"],
        "layer10": lambda: maps["layer10"],
    }
    torch.testing.assert_close(loaded.joint(maps), by_hand[rule]())
    torch.testing.assert_close(loaded.combined(maps), stretched(by_hand[rule]()))
    hits = pointing(loaded, image_set).hits
    if rule in ("last", "layer10"):
        assert hits["combined"] == hits["layer13" if rule == "last" else rule]


def test_a_rule_that_is_none_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"unknown combination 'layer11'; did you mean 'layer1[03]' or 'layer1[03]'"):
        pa.create_model("vgg_att2_concat_pc", 2, 0.0625, combination="layer11")
    with pytest.raises(UsageError, match="its upper map has the lower one in it, so the two are multiplied"):
        pa.create_model("vgg_pan", 2, 0.0625, combination="mean")
