"""The network of the public PyTorch implementation (github.com/SaoYan/LearnToPayAttention), as our own.

Its arithmetic differs from the authors' in six ways: no dropout; batch norm with eps 1e-5; layer 7 is mapped up to
512 channels instead of the query down; u has no bias; the classifier sees the bare descriptors; and the map may be a
sigmoid, averaged over positions. `payattention.load_peer` reads its checkpoints into this network.
"""

from functools import partial

from payattention.attention import MultiLevelAttention
from payattention.attention.compatibility import Parametrised
from payattention.models.attentive import AttentiveClassifier
from payattention.models.heads import create_head
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, VGGTrunk


def saoyan_vgg(
    num_classes: int,
    width: float = 1.0,
    *,
    taps: str = "before",
    normaliser: str = "softmax",
    init: str = "default",
) -> AttentiveClassifier:
    """VGG-att3-concat-pc as in the public PyTorch implementation.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        taps: "before" (its `model1`) or "after" the pool (its `model2`, and its script's default).
        normaliser: "softmax" (its `--normalize_attn`) or "sigmoid" (its script's default).
        init: "default" or "torch7".
    """
    trunk = VGGTrunk(LATE_POOLS["cifar"], (7, 10, 13), taps=taps, width=width, dropout=0.0, eps=1e-5)
    attention = MultiLevelAttention(
        trunk.local_dims,
        trunk.query_dim,
        compatibility=partial(Parametrised, bias=False),
        normaliser=normaliser,
        projection="up",
    )
    model = AttentiveClassifier(trunk, attention, create_head("concat", attention.dims, num_classes, normalise=False))
    initialise(model, init)
    return model


register(
    "saoyan_vgg_att3",
    saoyan_vgg,
    "attention at layers 7, 10 and 13 as in the public PyTorch implementation",
    lacks=dict.fromkeys(
        ("layout", "compatibility", "projection", "head", "head_norm", "dropout", "branch_grad"),
        "that network has one way only; vgg_att3_concat_pc has all",
    ),
)
