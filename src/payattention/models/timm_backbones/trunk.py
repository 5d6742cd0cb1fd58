"""A timm network as a trunk: local features at its last levels, and a global feature that asks where to look."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from payattention.models.attentive import Features, Trunk
from payattention.models.timm_backbones.backbone import (
    any_size,
    final_tap,
    is_plain,
    own_channels,
    own_size,
    smallest_size,
    taps_of,
)
from payattention.system.names import check_known

DEEPEST = {
    "stage": "the last stage's features, as timm lists them",
    "final": "what a last layer makes of them for the network's own classifier (EfficientNet: 320 to 1,280 channels)",
}
"""What the deepest level may be."""


class TimmTrunk(Trunk):
    """Local features by timm's `forward_intermediates`, what lies behind the last tap cut off.

    - Each level passes a batch norm of its own: the paper taps VGG after BN-ReLU, while timm's features end in
      anything (a linear bottleneck, a residual sum), on scales that a dot product with the query would inherit.
    - g = Linear(mean of the last level), the counterpart of the paper's FC16: as many channels as the last level, so
      that only the levels below need a projection.
    - A picture whose sides are no multiples of the last stride is scaled up to the next ones (or to the one size that
      some backbones take), so that every cell of a map stands for an equal part of the picture.

    `forward` is `complete(features(images))`. With `freeze`, `features` has no trained parameters and always runs in
    evaluation mode, so that it needs to run only once for each picture.

    Args:
        backbone: A bare timm network; it becomes part of this module, its classifier removed.
        levels: How many depths to tap, the deepest last.
        freeze: Whether the backbone's weights stay as they are.
        deepest: A name of `DEEPEST`.
    """

    has_spare_parts = True

    def __init__(self, backbone: nn.Module, levels: int = 2, freeze: bool = False, deepest: str = "stage") -> None:
        super().__init__()
        check_known("deepest level", DEEPEST, deepest)
        self.in_channels = own_channels(backbone)
        taps = taps_of(backbone, levels)
        self.final = deepest == "final"
        if self.final:
            taps = (*taps[:-1], final_tap(backbone, taps[-1]))
        self.names = tuple(tap.name for tap in taps)
        self.indices = [tap.index for tap in taps]
        self.plain = is_plain(backbone)
        self.frozen = freeze
        self.stride = max(tap.stride for tap in taps)
        self.min_size = smallest_size(backbone, self.stride)
        self.local_dims = {tap.name: tap.channels for tap in taps}
        self.query_dim = taps[-1].channels
        self.only_size = None if any_size(backbone) else own_size(backbone)

        self._cut(backbone)
        self.backbone = backbone.requires_grad_(not freeze)
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(dim) for name, dim in self.local_dims.items()})
        self.to_query: nn.Module | None = nn.Linear(self.query_dim, self.query_dim)
        self.train()

    def _cut(self, backbone: nn.Module) -> None:
        """Takes away, in place, what no tap needs."""
        behind = self.plain or self.final  # what lies behind the last stage is needed, except the classifier
        backbone.prune_intermediate_layers(self.indices, prune_norm=not behind, prune_head=not self.final)  # type: ignore[operator]
        if self.final:
            backbone.reset_classifier(0, "")  # type: ignore[operator]

    def train(self, mode: bool = True) -> "TimmTrunk":
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def features(self, images: Float[Tensor, "n channels h w"]) -> dict[str, Tensor]:
        """The backbone's own features (n, d, h, w) by level: all that depends on the images."""
        found = self.backbone.forward_intermediates(  # type: ignore[operator]
            self._fitted(images),
            indices=self.indices,
            norm=self.plain,
            output_fmt="NCHW",
            intermediates_only=not self.final,
        )
        if self.final:
            last, found = found
            found[-1] = last
        return dict(zip(self.names, found, strict=True))

    def complete(self, features: dict[str, Tensor]) -> Features:
        """The trunk's output from what `features` gave."""
        local = {name: self.norms[name](features[name]) for name in self.names}
        query = None if self.to_query is None else self.to_query(local[self.names[-1]].mean((2, 3)))  # (n, q)
        return Features(local, query)

    def local_layers(self) -> dict[str, nn.Module]:
        return dict(self.norms.items())

    def drop_query(self) -> None:
        self.to_query, self.query_dim = None, 0

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Features:
        return self.complete(self.features(images))

    def _fitted(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels H W"]:
        height, width = images.shape[2:]
        size = self.only_size or tuple(-(-side // self.stride) * self.stride for side in (height, width))
        if size == (height, width):
            return images
        return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
