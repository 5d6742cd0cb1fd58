"""A frozen timm network with nothing cut off: besides its levels it sums pictures up, as k-NN and linear probes ask."""

from dataclasses import fields

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.models.attentive import AttentiveClassifier
from payattention.models.timm_backbones.backbone import BackboneOptions, build_backbone
from payattention.models.timm_backbones.trunk import TimmTrunk

CLASS_TOKEN, MEAN = "class token", "mean"


class WholeTrunk(TimmTrunk):
    """The levels of a `TimmTrunk` and, from the same pass, the network's own summaries of a picture, (n, d, 1, 1) each.

    - "mean": what the network's own classifier sees (timm's `forward_head(..., pre_logits=True)`), as a rule the mean
      over the last layer's grid; of a network with a class token the mean of its patch tokens.
    - "class token": that token after the final norm, of a network that has one. Registers are in neither.
    """

    def _cut(self, backbone: nn.Module) -> None:
        """Nothing is cut off."""

    def features(self, images: Float[Tensor, "n channels h w"]) -> dict[str, Tensor]:
        last, found = self.backbone.forward_intermediates(  # type: ignore[operator]
            self._fitted(images), indices=self.indices, norm=self.plain, output_fmt="NCHW"
        )
        if self.final:
            found[-1] = last
        summaries = {name: summary[:, :, None, None] for name, summary in self._summaries(last).items()}
        return {**dict(zip(self.names, found, strict=True)), **summaries}

    def _summaries(self, last: Tensor) -> dict[str, Tensor]:
        """Of what the network's last layer gave, (n, d) each."""
        if getattr(self.backbone, "cls_token", None) is None or last.ndim != 3:
            return {MEAN: self.backbone.forward_head(last, pre_logits=True)}  # type: ignore[operator]
        tokens_before: int = self.backbone.num_prefix_tokens  # type: ignore[assignment]
        return {CLASS_TOKEN: last[:, 0], MEAN: last[:, tokens_before:].mean(1)}


def on_whole_trunk(model: AttentiveClassifier, seed: int, weights: str = "") -> AttentiveClassifier:
    """A named model, in place, on its whole backbone, of the same weights.

    Args:
        model: Frozen, as `attach` made it.
        seed: Of the backbone's weights, where they are fresh ones.
        weights: The file that they came from, of which a model keeps no more than the name.
    """
    options, trunk = model.config.options, model.trunk
    assert isinstance(trunk, TimmTrunk)
    making = BackboneOptions(**{own.name: options[own.name] for own in fields(BackboneOptions) if own.name in options})
    torch.manual_seed(seed)
    name = model.config.name.partition(":")[2]
    backbone = build_backbone(name, making, bool(options.get("pretrained")), weights)
    deepest = "final" if trunk.final else "stage"
    model.trunk = WholeTrunk(backbone, len(trunk.names), freeze=True, deepest=deepest)
    return model
