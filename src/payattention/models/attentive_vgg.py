"""The paper's networks: attention on VGG's layers 7, 10 and 13, and a control on the baseline's cheap trunk."""

from collections.abc import Mapping
from functools import partial
from typing import Unpack

from payattention.errors import UsageError
from payattention.models.attentive import AttentionKeywords, AttentionOptions, AttentiveClassifier
from payattention.models.initialisation import initialise
from payattention.models.own_queries import OwnQueriesTrunk
from payattention.models.registry import register, register_attentive
from payattention.models.vgg import BASELINE_POOLS, LATE_POOLS, Pools, VGGTrunk
from payattention.system.names import Registry

QUERIES: Registry[type[VGGTrunk]] = Registry("kind of queries", {"shared": VGGTrunk, "own": OwnQueriesTrunk})


def attentive_vgg(
    pools: Mapping[str, Pools],
    levels: tuple[int, ...],
    num_classes: int,
    width: float = 1.0,
    *,
    layout: str = "cifar",
    taps: str = "before",
    init: str = "default",
    in_channels: int = 3,
    **attention: Unpack[AttentionKeywords],
) -> AttentiveClassifier:
    """VGG with attention on the layers `levels`.

    Args:
        pools: Pools of each layout.
        levels: Tapped convolutions, of 7, 10 and 13.
        num_classes: Number of classes.
        width: Scales every channel count.
        layout: "cifar", or "cub" for 80x80 pictures: the first pool is 5x5 (method of the authors' CUB networks).
        taps: "before" or "after" the pool.
        init: A name of `payattention.models.initialisation.INITIALISATIONS`.
        in_channels: Of the images: 3 for RGB, 1 for grey.
        **attention: `AttentionOptions`. Their `queries` may also be "shared": one global feature asks at all levels
            (the paper); or "own": each level has a global branch of its own (the authors' ablations `2_global` and
            `3_global`).
    """
    options = AttentionOptions(**attention)
    make = QUERIES[options.queries if isinstance(options.queries, str) else "shared"]
    if options.queries == "own" and options.projection != "down":
        raise UsageError(
            f"projection is {options.projection!r}, but with queries='own' each level has a query of its own dimension "
            "and nothing is projected: leave one of the two out"
        )
    trunk = make(
        pools[layout],
        levels,
        taps=taps,
        width=width,
        dropout=options.dropout,
        branch_grad=options.branch_grad,
        in_channels=in_channels,
    )
    model = options.attending(trunk, num_classes)
    initialise(model, init)
    return model


register_attentive(
    "vgg",
    {"att": (13,), "att2": (10, 13), "att3": (7, 10, 13)},
    partial(attentive_vgg, LATE_POOLS, queries="shared"),
    "layer",
)
register(
    "vgg_earlypool_att2_concat_pc",
    partial(attentive_vgg, BASELINE_POOLS, (10, 13), queries="shared"),
    "control: attention on the baseline's cheap trunk",
)
