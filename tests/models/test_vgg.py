"""The VGG family: what the query can reach, and what may be a query."""

import pytest
import torch

import payattention as pa
from payattention.errors import UsageError


@pytest.mark.parametrize("name", ["vgg_att_pc", "vgg_att2_concat_pc", "vgg_att3_concat_pc", "vgg_att3_indep_pc"])
def test_pc_is_blind_to_the_query(name: str, images: torch.Tensor) -> None:
    """<u, l + g> = <u, l> + <u, g>, and softmax cancels <u, g>: no gradient reaches anything that makes g."""
    model = pa.create_model(name, 3, 0.125, dropout=0.0).train()
    model(images).square().sum().backward()
    alive = model.trunk.layers["conv13"].conv.weight.grad.abs().max()
    makers_of_g = [model.trunk.layers["conv14"], model.trunk.layers["conv15"], model.trunk.fc16]
    makers_of_g.append(model.attention.projection)
    gradients = [p.grad.abs().max() for module in makers_of_g for p in module.parameters()]
    gradients += [level.compatibility.u.bias.grad.abs().max() for level in model.attention.levels.values()]
    assert max(gradients) < 1e-5 * alive

    model.eval()
    own, swapped = model.attend(images), model.attend(images, query=images.flip(0))
    foreign = model.attend(images, query=5 * torch.randn(4, model.trunk.query_dim))
    for other in (swapped, foreign):
        torch.testing.assert_close(other.logits, own.logits, atol=1e-5, rtol=1e-4)
        for level in model.levels:
            torch.testing.assert_close(other.maps[level], own.maps[level], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["vgg_att_dp", "vgg_att2_concat_dp", "vgg_att3_indep_dp"])
def test_dp_looks_where_the_query_says(name: str, images: torch.Tensor) -> None:
    model = pa.create_model(name, 3, 0.125, dropout=0.0).train()
    model(images).square().sum().backward()
    assert model.trunk.fc16.linear.weight.grad.abs().max() > 1e-6

    model.eval()
    query = 5 * torch.randn(4, model.trunk.query_dim)
    own, foreign = model.attend(images), model.attend(images, query=query)
    torch.testing.assert_close(foreign.query, query)
    for level in model.levels:
        distance = (own.maps[level] - foreign.maps[level]).abs().sum((1, 2)) / 2
        assert distance.min() > 1e-3


def test_a_query_is_pictures_or_their_g(images: torch.Tensor) -> None:
    model = pa.create_model("vgg_att2_concat_dp", 3, 0.0625).eval()
    others = torch.rand(4, 3, 48, 40)
    by_picture = model.attend(images, query=others)
    by_g = model.attend(images, query=model.query_of(others))
    torch.testing.assert_close(by_picture.logits, by_g.logits)
    for_all = model.attend(images, query=others[:1])
    torch.testing.assert_close(for_all.maps["layer10"][0], by_picture.maps["layer10"][0])


def test_a_query_that_does_not_fit_is_refused(images: torch.Tensor) -> None:
    model = pa.create_model("vgg_att2_concat_dp", 3, 0.0625).eval()
    with pytest.raises(UsageError, match=r"n = 1 or 4; got \(3, 32\)"):
        model.attend(images, query=torch.rand(3, 32))
    with pytest.raises(UsageError, match=r"features \(n, 32\).*got \(4, 31\)"):
        model.attend(images, query=torch.rand(4, 31))
    with pytest.raises(UsageError, match="vgg has no query"):
        pa.create_model("vgg", 3, 0.0625).attend(images, query=images)


def test_the_plain_head_has_no_normalisation(images: torch.Tensor) -> None:
    model = pa.create_model("vgg_att2_concat_pc", 3, 0.0625, head_norm=False).eval()
    look = model.attend(images)
    joined = torch.cat(list(look.descriptors.values()), 1)
    torch.testing.assert_close(look.logits, model.head.classifier(joined))
