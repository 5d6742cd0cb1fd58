"""ResNet-164 and its attention networks, against the definition written out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.models.resnet import Bottleneck
from settling import settled

SMALL = 0.0625


def norm(x: Tensor, layer: nn.Module, eps: float = 1e-5) -> Tensor:
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=eps)


def block(x: Tensor, b: Bottleneck, stride: int) -> Tensor:
    """Pre-activation bottleneck: BN-ReLU before each convolution, the stride on the first 1x1."""
    active = norm(x, b.norm1).clamp_min(0)
    y = F.conv2d(active, b.conv1.weight, stride=stride)
    y = F.conv2d(norm(y, b.norm2).clamp_min(0), b.conv2.weight, padding=1)
    y = F.conv2d(norm(y, b.norm3).clamp_min(0), b.conv3.weight)
    if y.shape == x.shape:
        return y + x
    return y + F.conv2d(active, b.shortcut.weight, stride=stride)


def stages(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    x = F.conv2d((images - 0.5) / 0.25, model.trunk.conv1.weight, padding=1)
    sums = {}
    for name, stage in model.trunk.stages.items():
        for number, bottleneck in enumerate(stage):
            x = block(x, bottleneck, 2 if number == 0 and name != "stage1" else 1)
        sums[name] = x
    return sums


def test_the_plain_network() -> None:
    model = settled(pa.create_model("resnet164", 3, SMALL)).double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    assert [len(stage) for stage in model.trunk.stages.values()] == [18, 18, 18]
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size != () for m in model.modules()) == 164 - 1 + 3  # shortcuts
    last = norm(stages(model, images)["stage3"], model.norm).clamp_min(0)
    assert last.shape[2:] == (8, 8)
    logits = F.linear(F.avg_pool2d(last, 8).flatten(1), model.classifier.weight, model.classifier.bias)
    torch.testing.assert_close(model(images), logits)


def test_the_two_level_network() -> None:
    """Raw sums are tapped; g by BN-ReLU-pool-conv-BN(1e-3)-ReLU-pool-linear; down to stage 2 by BN-ReLU-linear."""
    model = settled(pa.create_model("resnet164_att2_concat_pc", 3, SMALL)).double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    local = stages(model, images)
    t = model.trunk.to_query
    x = F.max_pool2d(norm(local["stage3"], t.norm1).clamp_min(0), 2)
    x = norm(F.conv2d(x, t.conv.weight, t.conv.bias, padding=1), t.norm2, eps=1e-3).clamp_min(0)
    g = F.linear(F.max_pool2d(x, 4).flatten(1), t.linear.weight, t.linear.bias)
    look = model.attend(images)
    torch.testing.assert_close(look.query, g)

    down_norm, _, _, down = model.attention.projection.to_dim[str(local["stage2"].shape[1])]
    queries = {"stage2": F.linear(norm(g, down_norm).clamp_min(0), down.weight, down.bias), "stage3": g}
    descriptors = []
    for (level, query), head_norm in zip(queries.items(), model.head.normalise, strict=True):
        u = model.attention.levels[level].compatibility.u
        scores = F.conv2d(local[level] + query[:, :, None, None], u.weight, u.bias)  # (n, 1, h, w)
        weights = scores.flatten(1).softmax(1).view_as(scores)
        torch.testing.assert_close(look.maps[level], weights[:, 0])
        descriptors.append(norm((weights * local[level]).sum((2, 3)), head_norm[0]).clamp_min(0))
    classifier = model.head.classifier
    torch.testing.assert_close(look.logits, F.linear(torch.cat(descriptors, 1), classifier.weight, classifier.bias))


def test_the_single_level_network_is_the_last_level_of_the_two_level_one() -> None:
    two = settled(pa.create_model("resnet164_att2_concat_pc", 3, SMALL))
    one = pa.create_model("resnet164_att_pc", 3, SMALL).eval()
    shared = {name: tensor for name, tensor in two.state_dict().items() if not name.startswith("head.")}
    missing, _ = one.load_state_dict(shared, strict=False)
    assert all(name.startswith("head.") for name in missing)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(one.attend(images).maps["stage3"], two.attend(images).maps["stage3"])


def test_weights_transfer_by_name() -> None:
    plain = pa.create_model("resnet164", 3, SMALL).state_dict()
    attentive = pa.create_model("resnet164_att2_concat_pc", 3, SMALL).state_dict()
    assert {n for n in plain if n.startswith("trunk.")} == {
        n for n in attentive if n.startswith("trunk.") and not n.startswith("trunk.to_query.")
    }


def test_head_dropout_is_the_authors() -> None:
    head = pa.create_model("resnet164_att2_concat_pc", 3, SMALL).head
    assert [m.p for m in head.modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]
