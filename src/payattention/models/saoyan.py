"""The networks of the public PyTorch implementation (github.com/SaoYan/LearnToPayAttention), as our own.

Its arithmetic differs from the authors' in six ways: no dropout; batch norm with eps 1e-5; layer 7 is mapped up to
512 channels instead of the query down; u has no bias; the classifier sees the bare descriptors; and the map may be a
sigmoid, averaged over positions. Without attention it classifies g. `payattention.load_peer` reads its checkpoints.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import MultiLevelAttention
from payattention.attention.compatibility import Parametrised
from payattention.errors import UsageError
from payattention.models.attentive import AttentiveClassifier
from payattention.models.classifier import Classifier, Look
from payattention.models.heads import create_head
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, NO_ATTENTION, VGGTrunk


def _trunk(levels: tuple[int, ...], width: float, image_size: int, in_channels: int, taps: str = "before") -> VGGTrunk:
    """Its trunk, whose last convolution, g, is as large as what the pools leave of a picture."""
    if image_size < 32 or image_size % 32:
        raise UsageError(f"image_size is {image_size}: this network is made for a multiple of 32 pixels")
    trunk = VGGTrunk(
        LATE_POOLS["cifar"],
        levels,
        taps=taps,
        width=width,
        dropout=0.0,
        grid=image_size // 32,
        in_channels=in_channels,
    )
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5
    return trunk


def saoyan_vgg_att3(
    num_classes: int,
    width: float = 1.0,
    *,
    taps: str = "before",
    normaliser: str = "softmax",
    image_size: int = 32,
    init: str = "default",
    in_channels: int = 3,
) -> AttentiveClassifier:
    """VGG-att3-concat-pc as in the public PyTorch implementation.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        taps: "before" (its `model1`) or "after" the pool (its `model2`, and its script's default).
        normaliser: "softmax" (its `--normalize_attn`) or "sigmoid" (its script's default).
        image_size: Side in pixels of the pictures that it is made for (its `im_size`), a multiple of 32; at another
            size the last pool adapts.
        init: A name of `payattention.models.initialisation.INITIALISATIONS`; its own is "xavier_uniform".
        in_channels: Of the images.
    """
    trunk = _trunk((7, 10, 13), width, image_size, in_channels, taps)
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


class SaoyanVGG(Classifier):
    """Its network without attention (`--no_attention`): one linear layer on g.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        image_size: Side in pixels of the pictures that it is made for, a multiple of 32.
        init: A name of `payattention.models.initialisation.INITIALISATIONS`; its own is "xavier_uniform".
        in_channels: Of the images.
    """

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        *,
        image_size: int = 32,
        init: str = "default",
        in_channels: int = 3,
    ) -> None:
        super().__init__(in_channels)
        self.trunk = _trunk((), width, image_size, in_channels)
        self.min_size = self.trunk.min_size
        self.classifier = nn.Linear(self.trunk.query_dim, num_classes)
        initialise(self, init)

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        return Look(logits=self.classifier(self.features(images)))

    def local_layers(self) -> dict[str, nn.Module]:
        return {"layer13": self.trunk.layers["conv13"]}

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        return self.trunk(self.prepared(images)).query


_LACKS = dict.fromkeys(
    (
        "layout",
        "compatibility",
        "prior",
        "scaled",
        "projection",
        "queries",
        "head",
        "head_norm",
        "dropout",
        "branch_grad",
        "combination",
    ),
    "that network has one way only; vgg_att3_concat_pc has all",
)
register(
    "saoyan_vgg_att3",
    saoyan_vgg_att3,
    "attention at layers 7, 10 and 13 as in the public PyTorch implementation",
    lacks=_LACKS,
)
register(
    "saoyan_vgg",
    SaoyanVGG,
    "the public PyTorch implementation's network without attention",
    lacks=_LACKS | NO_ATTENTION,
)
