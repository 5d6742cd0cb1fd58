"""What attention spends at the border: by hand, in the loss, and less of it after training."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.training.border_penalty import at_border, levels_of, maps_seen
from payattention.training.fit import fit
from payattention.training.objective import Objective
from payattention.training.recipe import load_recipe

SMALL = 0.0625


def test_shares_by_hand() -> None:
    inner = torch.zeros(1, 4, 5)
    inner[0, 1:3, 1:4] = 2.0
    assert at_border([inner]).item() == 0
    corner = inner.clone()
    corner[0, 0, 0] = 4.0  # of 12 + 4
    assert at_border([corner]).item() == pytest.approx(1 / 4)
    assert at_border([inner, corner, torch.ones(1, 2, 2)]).item() == pytest.approx((0 + 1 / 4 + 1) / 3)


@pytest.mark.parametrize("name", ["vgg_att2_concat_pc", "vgg_pan"])
def test_it_is_added_to_the_loss_and_leaves_no_trace(name: str) -> None:
    model = pa.create_model(name, 2, SMALL, dropout=0.0).eval()
    images, labels = torch.rand(4, 3, 32, 32), torch.arange(4) % 2
    cost = Objective(model, 0.0, border_penalty=3.0)(images, labels)
    plain, maps = F.cross_entropy(model(images), labels), model.attend(images).maps
    torch.testing.assert_close(cost.loss, plain + 3 * at_border(list(maps.values())))
    assert not any(module._forward_hooks for module in model.modules())


def test_training_with_it_leaves_the_border(image_set: ImageSet, tmp_path: Path) -> None:
    """Of the same beginning, by the same steps, through a recipe."""
    shares = {}
    for penalty in (0.0, 10.0):
        torch.manual_seed(0)
        model = pa.create_model("fast_att_pc", 2, SMALL)
        recipe = load_recipe("quickstart", {"epochs": 6, "batch_size": 16, "border_penalty": penalty})
        fit(model, image_set, recipe, out=tmp_path / str(penalty))
        images = torch.from_numpy(image_set.images).permute(0, 3, 1, 2) / 255
        with torch.no_grad(), maps_seen(levels_of(model)) as maps:
            model(images)
        shares[penalty] = at_border(maps).item()
    assert shares[0.0] > 0.6  # of a grid of 4x4, 12 cells lie at the border
    assert shares[10.0] < shares[0.0] - 0.05


def test_a_network_without_maps_has_no_border_to_leave() -> None:
    with pytest.raises(UsageError, match="border_penalty is for a network with attention"):
        Objective(pa.create_model("vgg", 2, SMALL), 0.0, border_penalty=1.0)
