"""VGG-GAP: convolutions, global average pooling, one linear layer (Zhou et al., 2016), and its class activation map.

The paper compares its maps with this network's. The authors' definition file is lost; their evaluation notebooks show
the attention trunk's conv1 ... conv13, averaged over the grid that layer 13 has there (8x8 at 32x32 input).
"""

from jaxtyping import Float
from torch import Tensor, nn

from payattention.models.class_map import ClassMapped
from payattention.models.classifier import Look
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, NO_ATTENTION, VGGTrunk, of_layout


class GapVGG(ClassMapped):
    """Classifies the mean of layer 13.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        layout: "cifar", or "cub" for 80x80 pictures.
        dropout: Factor on every dropout rate.
        init: "default" or "torch7".
    """

    levels = ("layer13",)

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        *,
        layout: str = "cifar",
        dropout: float = 1.0,
        init: str = "default",
    ) -> None:
        super().__init__()
        self.trunk = VGGTrunk(of_layout(LATE_POOLS, layout), (13,), width=width, dropout=dropout)
        self.trunk.drop_query()
        self.min_size = self.trunk.min_size
        self.classifier = nn.Linear(self.trunk.local_dims["layer13"], num_classes)
        initialise(self, init)

    def averaged(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d i j"]:
        return self.trunk(self.prepared(images)).local["layer13"]

    def look(self, images: Float[Tensor, "n 3 h w"], query: Tensor | None) -> Look:
        local = self.averaged(images)
        mean = local.mean((2, 3))  # (n, d)
        logits = self.classifier(mean)
        scores = self.activation(local, logits.argmax(1))
        return Look(
            logits=logits,
            maps={"layer13": scores.relu()},
            scores={"layer13": scores},
            descriptors={"layer13": mean},
        )

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def features(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        return self.averaged(images).mean((2, 3))


register(
    "vgg_gap",
    GapVGG,
    "global average pooling; its map is the class activation map of the predicted class",
    lacks=NO_ATTENTION,
)
