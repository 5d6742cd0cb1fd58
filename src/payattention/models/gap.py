"""Convolutions, global average pooling, one linear layer (Zhou et al., 2016), and the class activation map.

The paper compares its maps with those of such a network, VGG-GAP. The authors' definition file is lost; their
evaluation notebooks show the attention trunk's conv1 ... conv13, averaged over the grid that layer 13 has there (8x8 at
32x32 input).
"""

from jaxtyping import Float
from torch import Tensor, nn

from payattention.models.attentive import Trunk
from payattention.models.class_activation_map import ClassMapped
from payattention.models.classifier import Look
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, NO_ATTENTION, VGGTrunk


class GlobalAveragePooling(ClassMapped):
    """Classifies the mean of a trunk's only level.

    Args:
        trunk: What is averaged; the layers behind its level are removed.
        num_classes: Number of classes.
    """

    def __init__(self, trunk: Trunk, num_classes: int) -> None:
        super().__init__(trunk.in_channels)
        ((self.level, dim),) = trunk.local_dims.items()
        trunk.drop_query()
        self.trunk, self.levels, self.min_size = trunk, (self.level,), trunk.min_size
        self.classifier = nn.Linear(dim, num_classes)

    def averaged(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n d i j"]:
        return self.trunk(self.prepared(images)).local[self.level]

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        local = self.averaged(images)
        mean = local.mean((2, 3))  # (n, d)
        logits = self.classifier(mean)
        scores = self.activation(local, logits.argmax(1))
        return Look(
            logits=logits,
            maps={self.level: scores.relu()},
            scores={self.level: scores},
            descriptors={self.level: mean},
        )

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        return self.averaged(images).mean((2, 3))


def gap_vgg(
    num_classes: int,
    width: float = 1.0,
    *,
    layout: str = "cifar",
    dropout: float = 1.0,
    init: str = "default",
    in_channels: int = 3,
) -> GlobalAveragePooling:
    """VGG-GAP: the mean of layer 13.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        layout: "cifar", or "cub" for 80x80 pictures.
        dropout: Factor on every dropout rate.
        init: A name of `payattention.models.initialisation.INITIALISATIONS`.
        in_channels: Of the images.
    """
    trunk = VGGTrunk(LATE_POOLS[layout], (13,), width=width, dropout=dropout, in_channels=in_channels)
    model = GlobalAveragePooling(trunk, num_classes)
    initialise(model, init)
    return model


register(
    "vgg_gap",
    gap_vgg,
    "global average pooling; its map is the class activation map of the predicted class",
    lacks=NO_ATTENTION,
)
