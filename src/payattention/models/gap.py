"""VGG-GAP: convolutions, global average pooling, one linear layer (Zhou et al., 2016), and its class activation map.

The paper compares its maps with this network's. The authors' definition file is lost; their evaluation notebooks show
the attention trunk's conv1 ... conv13, averaged over the grid that layer 13 has there (8x8 at 32x32 input).
"""

from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.models.classifier import Classifier, Look
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, NO_ATTENTION, VGGTrunk, of_layout


class GapVGG(Classifier):
    """Classifies the mean of layer 13, so that each position's share in a class's logit is a map of that class.

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

    def look(self, images: Float[Tensor, "n 3 h w"], query: Tensor | None) -> Look:
        local = self.trunk(self.prepared(images)).local["layer13"]
        mean = local.mean((2, 3))  # (n, d)
        logits = self.classifier(mean)
        scores = self.activation(local, logits.argmax(1))
        return Look(
            logits=logits,
            maps={"layer13": scores.relu()},
            scores={"layer13": scores},
            descriptors={"layer13": mean},
        )

    def features(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        return self.look(images, None).descriptors["layer13"]

    def class_map(self, images: Float[Tensor, "n 3 h w"], labels: Tensor | None = None) -> Tensor:
        """Class activation maps (n, h, w): sum_c w_c F_c. Their mean and the bias make the class's logit.

        Args:
            images: (n, 3, H, W), values in [0, 1].
            labels: The class of each image, (n,) whole numbers; by default the predicted one, as in `attend`. The
                authors' code takes the true one.

        Raises:
            UsageError: Labels that do not fit the images, or the classes.
        """
        if labels is None:
            return self.look(images, None).scores["layer13"]
        classes = self.classifier.out_features
        if labels.shape != images.shape[:1]:
            raise UsageError(f"labels are one class for each of {len(images)} images; got {tuple(labels.shape)}")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise UsageError(f"labels lie in 0 ... {classes - 1}; got {int(labels.min())} ... {int(labels.max())}")
        return self.activation(self.trunk(self.prepared(images)).local["layer13"], labels)

    def activation(self, local: Float[Tensor, "n d h w"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n h w"]:
        """The class activation map of each image's label."""
        return (local * self.classifier.weight[labels][:, :, None, None]).sum(1)


register(
    "vgg_gap",
    GapVGG,
    "global average pooling; its map is the class activation map of the predicted class",
    lacks=NO_ATTENTION,
)
