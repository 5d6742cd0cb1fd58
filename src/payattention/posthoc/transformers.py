"""Maps of a vision transformer's own attention, from all of its blocks.

In block b, head h, A (T, T) is the softmax attention of T tokens: which (columns) each of them (rows) is made of.

- Attention rollout (Abnar & Zuidema, 2020): half of each block is its residual path. Whatever the class.

    R = prod_b (mean_h A_bh + I) / 2,   the last block leftmost

- Gradient-weighted attention (Chefer et al., 2021, "Generic Attention-model Explainability", equations 5 and 6), with
  the gradient of the class's logit; not their earlier paper's relevance propagation.

    R = I;   block by block,   R += mean_h relu(dA_bh * A_bh) R

The papers read the row of a class token. The classifiers here weigh the tokens of the grid, so that a map is the mean
of their rows, in the second method without I; of the columns, tokens that stand before the grid (class token,
registers) are left out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.models import Classifier
from payattention.posthoc.hooks import local_features, need, of_classes

_MAP = "tokens"


def global_attention(model: Classifier) -> str | None:
    """A model on a transformer whose blocks each attend over all tokens."""
    if getattr(getattr(model, "trunk", None), "plain", False) and _attentions(model):
        return None
    return f"attention rollout and its like are for plain vision transformers that pa.attach made; {model.name} is none"


@torch.no_grad()
def attention_rollout(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """How much of each token is in those that the classifier weighs, as {"tokens": (n, h', w')}; labels play no part.

    Raises:
        UsageError: A model that is no plain vision transformer.
    """
    need(model, global_attention)
    with local_features(model) as features, _matrices(model) as blocks:
        model(images)
    rolled = _identity(blocks[0])
    for attention in blocks:
        rolled = (attention.mean(1) + _identity(attention)) / 2 @ rolled  # (n, T, T)
    return {_MAP: _on_grid(rolled, features)}


@torch.enable_grad()
def gradient_attention(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """What of the tokens' attention the class's logit rises with, as {"tokens": (n, h', w')}.

    Raises:
        UsageError: A model that is no plain vision transformer.
    """
    need(model, global_attention)
    with local_features(model) as features, _matrices(model) as blocks:
        logit = of_classes(model(images.detach().requires_grad_()), labels)
        gradients = torch.autograd.grad(logit.sum(), blocks)
    relevance = _identity(blocks[0])
    for attention, gradient in zip(blocks, gradients, strict=True):
        relevance = relevance + (gradient * attention.detach()).relu().mean(1) @ relevance  # (n, T, T)
    return {_MAP: _on_grid(relevance - _identity(blocks[0]), features)}


def _identity(attention: Float[Tensor, "n heads t t"]) -> Float[Tensor, "t t"]:
    return torch.eye(attention.shape[-1], device=attention.device, dtype=attention.dtype)


def _on_grid(relevance: Float[Tensor, "n t t"], features: dict[str, Tensor]) -> Float[Tensor, "n h w"]:
    """The mean row of the grid's tokens, which are the last ones, on the grid."""
    height, width = list(features.values())[-1].shape[2:]
    grid = relevance[:, -height * width :, -height * width :]
    return grid.mean(1).view(len(relevance), height, width)


def _attentions(model: nn.Module) -> list[Any]:
    """timm's attention modules that can give their matrices, from the first block to the last."""
    return [module for module in model.modules() if hasattr(module, "fused_attn") and hasattr(module, "attn_drop")]


@contextmanager
def _matrices(model: nn.Module) -> Iterator[list[Tensor]]:
    """A list that a forward pass inside fills with each block's attention (n, heads, T, T)."""
    attentions, seen = _attentions(model), list[Tensor]()
    fused = [module.fused_attn for module in attentions]

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.append(output)

    hooks = [module.attn_drop.register_forward_hook(keep) for module in attentions]
    try:
        for module in attentions:
            module.fused_attn = False  # a fused kernel never holds the matrix
        yield seen
    finally:
        for module, was in zip(attentions, fused, strict=True):
            module.fused_attn = was
        for hook in hooks:
            hook.remove()
