"""The VGG family against the authors' networks: parameter counts, grids, and what the query can reach."""

import pytest
import torch

import payattention as pa
from payattention.errors import UsageError

# counted from the authors' networks
COUNTS = {
    ("vgg", 10): 14_991_946,
    ("vgg", 100): 15_038_116,
    ("vgg_att_pc", 10): 19_714_123,
    ("vgg_att_pc", 100): 19_760_293,
    ("vgg_att_dp", 10): 19_713_610,
    ("vgg_att_dp", 100): 19_759_780,
    ("vgg_att2_concat_pc", 10): 19_720_780,
    ("vgg_att2_concat_pc", 100): 19_813_030,
    ("vgg_att2_concat_dp", 10): 19_719_754,
    ("vgg_att2_concat_dp", 100): 19_812_004,
    ("vgg_att2_indep_pc", 10): 19_720_790,
    ("vgg_att2_indep_pc", 100): 19_813_130,
    ("vgg_att2_indep_dp", 10): 19_719_764,
    ("vgg_att2_indep_dp", 100): 19_812_104,
    ("vgg_att3_concat_pc", 10): 19_856_461,
    ("vgg_att3_concat_pc", 100): 19_971_751,
    ("vgg_att3_concat_dp", 10): 19_855_178,
    ("vgg_att3_concat_dp", 100): 19_970_468,
    ("vgg_att3_indep_pc", 10): 19_856_481,
    ("vgg_att3_indep_pc", 100): 19_971_951,
}


@pytest.mark.parametrize(("name", "classes"), COUNTS)
def test_parameters_are_the_authors(name: str, classes: int) -> None:
    with torch.device("meta"):
        model = pa.create_model(name, classes)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name, classes]


@pytest.mark.parametrize(("name", "count"), [("vgg", 15_089_416), ("vgg_att2_concat_pc", 19_915_530)])
def test_the_layout_for_80_pixel_birds_has_the_authors_parameters(name: str, count: int) -> None:
    with torch.device("meta"):
        model = pa.create_model(name, 200, layout="cub")
    assert sum(p.numel() for p in model.parameters()) == count


def test_grids_at_the_papers_sizes(images: torch.Tensor) -> None:
    def grids(name: str, x: torch.Tensor, **options: str) -> dict[str, tuple[int, ...]]:
        model = pa.create_model(name, 3, 0.0625, **options).eval()
        return {level: tuple(m.shape[1:]) for level, m in model.attend(x).maps.items()}

    assert grids("vgg_att3_concat_pc", images) == {"layer7": (32, 32), "layer10": (16, 16), "layer13": (8, 8)}
    assert grids("vgg_earlypool_att2_concat_pc", images) == {"layer10": (4, 4), "layer13": (2, 2)}
    birds = torch.rand(1, 3, 80, 80)
    assert grids("vgg_att2_concat_pc", birds, layout="cub") == {"layer10": (16, 16), "layer13": (8, 8)}


def test_the_late_trunk_costs_twelve_times_the_baseline() -> None:
    """Multiply-adds at 32x32: 3.787 G against 0.3135 G, by PyTorch's own counter (2 operations each)."""
    from torch.utils.flop_counter import FlopCounterMode

    def multiply_adds(name: str) -> int:
        with torch.device("meta"):
            model, x = pa.create_model(name, 10).eval(), torch.empty(1, 3, 32, 32)
        with FlopCounterMode(display=False) as counter:
            model(x)
        return counter.get_total_flops() // 2

    assert multiply_adds("vgg") == 313_463_808
    # the score <u, g> (512 a level) and the weighted sums (163,840) stand beside the convolutions' 3,786,516,480
    assert multiply_adds("vgg_att2_concat_pc") == pytest.approx(3_786_680_320, abs=2 * 512)
    assert multiply_adds("vgg_latepool") / multiply_adds("vgg") == pytest.approx(12.08, abs=0.01)


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
