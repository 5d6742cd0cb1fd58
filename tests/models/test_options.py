"""The networks' options against plain loops, and against the authors' procedure done by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.attention import MultiLevelAttention
from payattention.attention.compatibility import Local, create_compatibility
from payattention.attention.normaliser import create_normaliser
from payattention.errors import UsageError
from payattention.models import Classifier, check_model
from settling import settled

SMALL = 0.0625
IMAGES, DIM, HEIGHT, WIDTH = 2, 5, 3, 4


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def product(matrix: Tensor, vector: list[float]) -> list[float]:
    return [dot(row.flatten().tolist(), vector) for row in matrix]


def pc(c: Any, local: list[float], query: list[float]) -> float:
    return dot(c.u.weight.flatten().tolist(), [x + g for x, g in zip(local, query, strict=True)]) + c.u.bias.item()


def dp(c: Any, local: list[float], query: list[float]) -> float:
    return dot(local, query)


def local_only(c: Any, local: list[float], query: list[float]) -> float:
    return dot(c.u.weight.flatten().tolist(), local) + c.u.bias.item()


def concat(c: Any, local: list[float], query: list[float]) -> float:
    return dot(c.u.weight.flatten().tolist(), local + query) + c.u.bias.item()


def additive(c: Any, local: list[float], query: list[float]) -> float:
    hidden = zip(product(c.local_to_hidden.weight, local), product(c.query_to_hidden.weight, query), strict=True)
    return dot(c.u.weight.flatten().tolist(), [math.tanh(a + b) for a, b in hidden])


def grid_gate(c: Any, local: list[float], query: list[float]) -> float:
    hidden = zip(product(c.w_local.weight, local), product(c.w_query.weight, query), strict=True)
    return dot(c.u.weight.flatten().tolist(), [max(0.0, a + b) for a, b in hidden]) + c.u.bias.item()


def uniform(c: Any, local: list[float], query: list[float]) -> float:
    return 0.0


SCORES: dict[str, Callable[[Any, list[float], list[float]], float]] = {
    "pc": pc,
    "dp": dp,
    "local": local_only,
    "concat": concat,
    "additive": additive,
    "grid_gate": grid_gate,
    "uniform": uniform,
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_a_triple_loop(name: str) -> None:
    compatibility = create_compatibility(name, DIM).double()
    local = torch.randn(IMAGES, DIM, HEIGHT, WIDTH, dtype=torch.float64)
    query = torch.randn(IMAGES, DIM, dtype=torch.float64)
    scores = compatibility(local, query)
    for n in range(IMAGES):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                by_hand = SCORES[name](compatibility, local[n, :, y, x].tolist(), query[n].tolist())
                assert scores[n, y, x].item() == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_maps_and_descriptors_are_those_of_loops(name: str) -> None:
    normaliser = create_normaliser(name)
    scores = torch.randn(1, HEIGHT, WIDTH, dtype=torch.float64)
    local = torch.randn(1, DIM, HEIGHT, WIDTH, dtype=torch.float64)
    flat = scores.flatten().tolist()
    if name == "softmax":
        total = sum(map(math.exp, flat))
        weights, size = [math.exp(c) / total for c in flat], 1
    else:
        weights, size = [1 / (1 + math.exp(-c)) for c in flat], len(flat)
    map_ = normaliser(scores)
    assert map_.flatten().tolist() == pytest.approx(weights)
    g_a = [sum(a * f for a, f in zip(weights, local[0, d].flatten().tolist(), strict=True)) / size for d in range(DIM)]
    assert normaliser.estimate(map_, local)[0].tolist() == pytest.approx(g_a)


@pytest.mark.parametrize("normaliser", ["softmax", "sigmoid"])
def test_projecting_up_uses_the_projected_features_in_score_and_average(normaliser: str) -> None:
    attention = MultiLevelAttention({"low": 3, "high": 6}, 6, projection="up", normaliser=normaliser).double().eval()
    low, high, g = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 6, 2, 2).double(), torch.randn(2, 6).double()
    attended = attention({"low": low, "high": high}, g)
    assert attention.dims == {"low": 6, "high": 6}

    matrix = attention.projection.to_query["low"].weight[:, :, 0, 0]
    u = attention.levels["low"].compatibility.u
    raised = torch.stack([torch.stack([matrix @ low[n, :, i // 4, i % 4] for i in range(16)]) for n in range(2)])
    scores = (raised + g[:, None]) @ u.weight.flatten() + u.bias
    weights = scores.softmax(1) if normaliser == "softmax" else scores.sigmoid() / 16
    torch.testing.assert_close(attended["low"].scores.flatten(1), scores)
    torch.testing.assert_close(attended["low"].descriptor, (weights[:, :, None] * raised).sum(1))
    assert "high" not in attention.projection.to_query


def test_projecting_up_as_the_authors_do_normalises_the_query_there_alone() -> None:
    attention = MultiLevelAttention({"low": 3, "high": 6}, 6, projection="up_norm", compatibility="dp").double().eval()
    low, high, g = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 6, 2, 2).double(), torch.randn(2, 6).double()
    attended = attention({"low": low, "high": high}, g)
    up, (norm, _, _) = attention.projection.to_query["low"], attention.projection.normalise["low"]
    raised = F.conv2d(low, up.weight, up.bias)
    query = F.relu(g / math.sqrt(1 + norm.eps))  # a fresh batch norm, evaluating
    torch.testing.assert_close(attended["low"].scores, (raised * query[:, :, None, None]).sum(1))
    weights = attended["low"].scores.flatten(1).softmax(1)
    torch.testing.assert_close(attended["low"].descriptor, (weights[:, None] * raised.flatten(2)).sum(2))
    torch.testing.assert_close(attended["high"].scores, (high * g[:, :, None, None]).sum(1))


@pytest.mark.parametrize("projection", ["down", "down_linear"])
def test_projecting_down_maps_the_query_and_averages_bare_features(projection: str) -> None:
    attention = MultiLevelAttention({"a": 3, "b": 3, "c": 6}, 6, projection=projection, compatibility="dp").double()
    attention.eval()
    local = {name: torch.randn(2, d, 2, 2).double() for name, d in {"a": 3, "b": 3, "c": 6}.items()}
    g = torch.randn(2, 6).double()
    attended = attention(local, g)
    assert list(attention.projection.to_dim) == ["3"]  # levels of one dimension share it

    linear = attention.projection.to_dim["3"]
    before = g
    if projection == "down":
        norm, _, _, linear = linear
        before = F.relu(g / math.sqrt(1 + norm.eps))  # a fresh batch norm, evaluating
    down = before @ linear.weight.T + linear.bias
    for name, query in {"a": down, "b": down, "c": g}.items():
        scores = (local[name] * query[:, :, None, None]).sum(1)
        torch.testing.assert_close(attended[name].scores, scores)
        weights = scores.flatten(1).softmax(1)
        torch.testing.assert_close(attended[name].descriptor, (local[name].flatten(2) * weights[:, None]).sum(2))


def test_taps_after_the_pool_are_the_pooled_taps() -> None:
    before = settled(pa.create_model("vgg_att3_concat_pc", 3, SMALL))
    after = pa.create_model("vgg_att3_concat_pc", 3, SMALL, taps="after").eval()
    after.load_state_dict(before.state_dict())
    images = torch.rand(2, 3, 32, 32)
    early, late = before.trunk(images), after.trunk(images)
    for level, local in early.local.items():
        torch.testing.assert_close(late.local[level], F.max_pool2d(local, 2))
    torch.testing.assert_close(late.query, early.query)


def twins(name: str, **options: Any) -> tuple[Classifier, Classifier]:
    """A network with the true gradient and one with the mean, of the same weights, without dropout."""
    true = pa.create_model(name, 3, SMALL, dropout=0.0, **options).double().train()
    mean = pa.create_model(name, 3, SMALL, dropout=0.0, branch_grad="mean", **options).double().train()
    mean.load_state_dict(true.state_dict())
    return true, mean


def gradients(model: nn.Module) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def loss_of(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, torch.arange(len(logits)) % 3)


@pytest.mark.parametrize("name", ["vgg_att3_concat_dp", "vgg_att2_indep_dp", "vgg_att_dp", "vgg_att3_concat_pc"])
def test_mean_gradients_are_the_authors_procedure(name: str) -> None:
    """Their nets are trained one by one; wherever the gradients of two nets meet, the mean is passed on."""
    true, mean = twins(name)
    images = torch.rand(6, 3, 16, 16, dtype=torch.float64)
    trunk, attention = true.trunk, true.attention
    outs, attended, onward, x = {}, {}, {}, true.prepared(images)
    for level in true.levels:
        outs[level] = trunk.up_to(level, x)
        attended[level] = outs[level].detach().requires_grad_()  # the copy that the attention sees
        x = onward[level] = outs[level].detach().requires_grad_()  # the copy that the next net sees
    g = trunk.query(x)
    queries = {level: g.detach().requires_grad_() for level in true.levels}
    descriptors = [
        attention.levels[level](
            attention.projection.local(level, attended[level]), attention.projection.queries(queries[level])[level]
        ).descriptor
        for level in true.levels
    ]
    loss_of(true.head(descriptors)).backward()
    g.backward(sum(query.grad for query in queries.values()) / len(queries))
    for level in reversed(true.levels):
        outs[level].backward((attended[level].grad + onward[level].grad) / 2)

    loss_of(mean(images)).backward()
    by_hand, ours = gradients(true), gradients(mean)
    assert max(grad.abs().max() for grad in by_hand.values()) > 1e-3
    for parameter, grad in ours.items():
        torch.testing.assert_close(grad, by_hand[parameter], rtol=1e-7, atol=1e-10, msg=parameter)


def test_mean_gradients_with_own_queries_are_the_authors_procedure() -> None:
    """At a lower level three nets meet: the next, the attention and the level's own global branch."""
    true, mean = twins("vgg_att3_concat_dp", queries="own")
    images = torch.rand(6, 3, 16, 16, dtype=torch.float64)
    trunk, outs, copies, descriptors, x = true.trunk, {}, {}, [], true.prepared(images)
    for level in true.levels:
        outs[level] = trunk.up_to(level, x)
        attended, asked, x = copies[level] = [outs[level].detach().requires_grad_() for _ in range(3)]
        g = trunk.own[level](asked) if level in trunk.own else trunk.query(asked)
        descriptors.append(true.attention.levels[level](attended, g).descriptor)
    loss_of(true.head(descriptors)).backward()
    for level in reversed(true.levels):
        met = [copy.grad for copy in copies[level] if copy.grad is not None]
        assert len(met) == (2 if level == "layer13" else 3)
        outs[level].backward(sum(met) / len(met))

    loss_of(mean(images)).backward()
    by_hand, ours = gradients(true), gradients(mean)
    assert by_hand.keys() == ours.keys()
    for parameter, grad in ours.items():
        torch.testing.assert_close(grad, by_hand[parameter], rtol=1e-7, atol=1e-10, msg=parameter)


@pytest.mark.parametrize("size", [32, 48])
def test_own_queries_are_by_their_own_convolutions(size: int) -> None:
    """Pools of 4, then 2 after each convolution (three of them at layer 7), then a linear layer; no g is projected."""
    model = settled(pa.create_model("vgg_att3_concat_pc", 3, SMALL, queries="own", normaliser="sigmoid")).double()
    images = torch.rand(2, 3, size, size, dtype=torch.float64)
    local, look, asked = model.trunk(images * 4 - 2).local, model.attend(images), []
    for level, convs in {"layer7": 3, "layer10": 2}.items():
        own, x = model.trunk.own[level], F.max_pool2d(local[level], 4, ceil_mode=True)
        for number in range(1, convs + 1):
            layer = getattr(own, f"conv{number}")
            n, x = layer.norm, F.conv2d(x, layer.conv.weight, layer.conv.bias, padding=1)
            x = F.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias, eps=1e-3).relu()
            x = x.amax((2, 3)) if number == convs else F.max_pool2d(x, 2, ceil_mode=True)
        asked.append(F.linear(x, own.linear.weight, own.linear.bias))
    torch.testing.assert_close(look.query[:, : sum(g.shape[1] for g in asked)], torch.cat(asked, 1))
    u = model.attention.levels["layer7"].compatibility.u
    scores = F.conv2d(local["layer7"] + asked[0][:, :, None, None], u.weight, u.bias)
    torch.testing.assert_close(look.scores["layer7"], scores[:, 0])

    foreign = look.query.roll(1, 0).clone()
    foreign[:, asked[0].shape[1] :] = look.query[:, asked[0].shape[1] :]  # another query at layer 7 alone
    swapped = model.attend(images, query=foreign)
    assert not torch.equal(swapped.maps["layer7"], look.maps["layer7"])
    torch.testing.assert_close(swapped.maps["layer10"], look.maps["layer10"])


def test_pan_mean_gradients_are_the_authors_procedure() -> None:
    true, mean = twins("vgg_pan", compatibility="dp")
    images = torch.rand(6, 3, 16, 16, dtype=torch.float64)
    lower = true.trunk.up_to("layer10", true.prepared(images))
    to_gate, to_query = (lower.detach().requires_grad_() for _ in range(2))
    gated = to_gate * true.gate(to_gate, true.lower_query(to_query)).map[:, None]
    upper = true.trunk.up_to("layer13", gated)
    to_attention, to_upper_query = (upper.detach().requires_grad_() for _ in range(2))
    descriptor = true.attention(to_attention, true.trunk.query(to_upper_query)).descriptor
    loss_of(true.head([descriptor])).backward()
    upper.backward((to_attention.grad + to_upper_query.grad) / 2)
    lower.backward((to_gate.grad + to_query.grad) / 2)

    loss_of(mean(images)).backward()
    by_hand, ours = gradients(true), gradients(mean)
    for parameter, grad in ours.items():
        torch.testing.assert_close(grad, by_hand[parameter], rtol=1e-7, atol=1e-10, msg=parameter)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("vgg_att3_concat_dp", ["conv7", "conv10", "conv13"]),
        ("vgg_att2_concat_dp", ["conv10", "conv13"]),
        ("resnet164_att2_concat_pc", ["stage2", "stage3"]),
    ],
)
def test_mean_gradients_weigh_paths_by_powers_of_two(name: str, ends: list[str]) -> None:
    """Segment s, below tap s: 2^-(t-s+1) for the path by attention t, and by g 2^-(S-s+1) / S."""
    true, mean = twins(name, **({} if name.endswith("dp") else {"compatibility": "dp"}))
    images = torch.rand(6, 3, 16, 16, dtype=torch.float64)
    count = len(true.levels)
    paths: list[dict[str, Tensor]] = []
    for path in [*true.levels, "g"]:
        local, g = true.trunk(true.prepared(images))
        local = {level: x if level == path else x.detach() for level, x in local.items()}
        attended = true.attention(local, g if path == "g" else g.detach())
        loss_of(true.head([level.descriptor for level in attended.values()])).backward()
        paths.append(gradients(true))
    loss_of(mean(images)).backward()
    ours = gradients(mean)

    segment, passed = 1, ""
    for parameter in (p for p in ours if p.startswith("trunk.")):
        if segment <= count and f".{ends[segment - 1]}." in passed and ends[segment - 1] not in parameter:
            segment += 1
        passed = parameter
        weights = {t: 2.0 ** -(t - segment + 1) for t in range(segment, count + 1)}
        expected = 2.0 ** -(count - segment + 1) / count * paths[count][parameter]
        expected = expected + sum(weight * paths[t - 1][parameter] for t, weight in weights.items())
        torch.testing.assert_close(ours[parameter], expected, rtol=1e-7, atol=1e-10, msg=parameter)
    assert segment == count + 1  # the global branch, whose only path weighs 1/S


def effective_positions(maps: Tensor) -> float:
    """exp(entropy): how many positions a map spreads over, mean over images."""
    entropy = -(maps * maps.clamp_min(1e-30).log()).sum((1, 2))
    return entropy.exp().mean().item()


@pytest.mark.slow
def test_the_two_inits_start_at_opposite_ends() -> None:
    """Torch7: almost one-hot (2.7, 2.1, 1.3 positions were measured); ours: almost uniform (968, 243, 61)."""
    images = torch.rand(3, 3, 32, 32)
    spread = {}
    for init in ("torch7", "default"):
        model = pa.create_model("vgg_att3_concat_pc", 10, init=init).train()
        with torch.no_grad():
            spread[init] = [effective_positions(map_) for map_ in model.attend(images).maps.values()]
    assert all(count < 8 for count in spread["torch7"]), spread
    for count, positions in zip(spread["default"], (1024, 256, 64), strict=True):
        assert 0.9 * positions < count < positions


@pytest.mark.parametrize("name", ["vgg_att3_concat_pc", "resnet164_att2_concat_pc", "vgg_pan"])
def test_torch7_statistics(name: str) -> None:
    model = pa.create_model(name, 10, 0.5, init="torch7")
    scores = [module for key, module in model.named_modules() if key.endswith("compatibility.u")]
    assert len(scores) >= 2
    for module_name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            size = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            n = module.weight.numel()
            # six standard errors of a deviation
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / size), rel=6 / math.sqrt(2 * n))
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.weight.min() >= 0
            assert module.weight.max() <= 1
            assert module.weight.mean().item() == pytest.approx(0.5, abs=6 * 0.29 / math.sqrt(len(module.weight)))
            assert not module.bias.any()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            assert 0.9 * bound < module.weight.abs().max() <= bound
            assert bool(module.bias.any()) == name.startswith("vgg"), module_name
    for u in scores:
        assert u.weight.std().item() == pytest.approx(math.sqrt(2), rel=0.4)


def test_xavier_uniform_statistics() -> None:
    """Uniform with the deviation sqrt(2) sqrt(2 / (fan in + fan out)), whatever the layer; nothing has a bias."""
    model = pa.create_model("saoyan_vgg_att3", 10, 0.5, init="xavier_uniform")
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            out, into = module.weight.shape[:2]
            field = math.prod(module.weight.shape[2:])
            bound = math.sqrt(2) * math.sqrt(6 / (field * (into + out)))
            assert 0.9 * bound < module.weight.abs().max() <= bound, name
            deviation = module.weight.std(correction=0).item()
            assert deviation == pytest.approx(bound / math.sqrt(3), rel=6 / math.sqrt(module.weight.numel()))
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert 0 <= module.weight.min() < 0.2
            assert 0.8 < module.weight.max() <= 1
            assert not module.bias.any()


def test_head_norm_off_classifies_bare_descriptors() -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, SMALL, head_norm=False))
    look = model.attend(torch.rand(2, 3, 32, 32))
    bare = torch.cat(list(look.descriptors.values()), 1)
    classifier = model.head.classifier
    torch.testing.assert_close(look.logits, bare @ classifier.weight.T + classifier.bias)


@pytest.mark.parametrize("name", ["vgg_att3_concat_pc", "vgg_pan", "resnet164_att2_concat_pc", "vgg", "vgg_gap"])
@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_dropout_scales_every_rate(name: str, factor: float) -> None:
    full, less = pa.create_model(name, 3, SMALL), pa.create_model(name, 3, SMALL, dropout=factor)
    rates = [[m.p for m in model.modules() if isinstance(m, nn.Dropout)] for model in (full, less)]
    assert any(rates[0])
    assert rates[1] == pytest.approx([factor * rate for rate in rates[0]])


def test_a_compatibility_of_your_own() -> None:
    attention = MultiLevelAttention({"a": 3}, 3, compatibility=lambda dim: Local(dim, bias=False)).eval()
    local = torch.randn(1, 3, 2, 2)
    u = attention.levels["a"].compatibility.u.weight
    torch.testing.assert_close(attention({"a": local}, torch.zeros(1, 3))["a"].scores, F.conv2d(local, u)[:, 0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgg_earlypool_att2_concat_pc", {"taps": "after"}, "nothing to choose from at layer13 .* take taps='before'"),
        ("vgg_pan", {"head": "indep"}, "vgg_pan has no option 'head': only the last level's descriptor is classified"),
        ("vgg_pan", {"taps": "after"}, "multiplies the features before the pool"),
        ("vgg_pan", {"gate_level": "layer12"}, "unknown gate level 'layer12'; did you mean 'layer1"),
        ("vgg_pan", {"queries": "own"}, "each level has its own, always"),
        ("vgg_att2_concat_pc", {"queries": "each"}, "unknown kind of queries 'each'; there are: own, shared"),
        ("vgg_att3_concat_pc", {"queries": "own", "projection": "up"}, "leave one of the two out"),
        ("resnet164_att3_concat_pc", {"queries": "own"}, "queries is 'own': it takes a whole number, by default 1"),
        ("fast_att2_concat_pc", {"depth": 1}, "depth is 1: a block has 2 to 8 convolutions"),
        ("fast_att2_concat_pc", {"taps": "after"}, "its pools stand within the blocks"),
        ("fast", {"dropout": 0.5}, "it has no dropout"),
        ("saoyan_vgg", {"taps": "after"}, "it has no attention"),
        ("saoyan_vgg_att3", {"image_size": 48}, "image_size is 48: this network is made for a multiple of 32 pixels"),
        ("vgg_pan", {"gate": "softmx"}, "unknown normaliser 'softmx'; did you mean 'softmax'"),
        ("resnet164_att_pc", {"taps": "after"}, "no pool follows a stage"),
        ("resnet164_att_pc", {"layout": "cub"}, "its strides suit any size"),
        ("resnet164", {"normaliser": "sigmoid"}, "resnet164 has no option 'normaliser': it has no attention"),
        ("resnet164", {"dropout": 0}, "it has no dropout"),
        ("vgg", {"compatibility": "dp"}, "vgg has no option 'compatibility': it has no attention"),
        ("vgg_gap", {"branch_grad": "mean"}, "it has no attention"),
        ("saoyan_vgg_att3", {"head": "indep"}, "one way only; vgg_att3_concat_pc has all"),
        ("vgg_att_pc", {"branch_grad": "average"}, "unknown branch gradient 'average'; there are: mean, sum"),
        ("vgg_att_pc", {"init": "torch"}, "unknown init 'torch'; did you mean 'torch7'"),
        ("vgg_att_pc", {"projection": "sideways"}, "unknown projection 'sideways'"),
        ("vgg_att_pc", {"gate": "softmax"}, "unknown option of vgg_att_pc 'gate'"),
        ("vgg_att_pc", {"head_norm": "no"}, "head_norm is 'no': it takes true or false, by default true"),
        ("vgg_att_pc", {"dropout": "high"}, r"dropout is 'high': it takes a number, by default 1\.0"),
        ("vgg_att_pc", {"dropout": 2}, "dropout is 2: it scales every dropout rate, from 0"),
        ("vgg_att_pc", {"compatibility": 3}, 'compatibility is 3: it takes a name, by default "pc"'),
    ],
)
def test_impossible_combinations_say_why(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        check_model(name, **options)
    assert "\n" not in str(error.value)
