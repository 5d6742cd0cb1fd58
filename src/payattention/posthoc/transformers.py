"""Maps of a vision transformer's own attention, from all of its blocks.

In block b, head h, A (T, T) is the softmax attention of T tokens: which (columns) each of them (rows) is made of.

- Attention rollout (Abnar & Zuidema, 2020): half of each block is its residual path. Whatever the class.

    R = prod_b (mean_h A_bh + I) / 2,   the last block leftmost

- Gradient-weighted attention (Chefer et al., 2021, "Generic Attention-model Explainability", equations 5 and 6), with
  the gradient of the class's logit; not their earlier paper's relevance propagation.

    R = I;   block by block,   R += mean_h relu(dA_bh * A_bh) R

The papers read the row of a class token, and so does this where a wrapped network classifies by it. Where the tokens of
the grid are weighed or averaged, as by every attached attention, a map is the mean of their rows; in the second method
without I. Of the columns, tokens that stand before the grid (class token, registers) are left out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.models import Classifier
from payattention.models.timm_backbones.backbone import is_plain
from payattention.models.wrapped import Wrapped
from payattention.posthoc.hooks import local_features, need, of_classes

_MAP = "tokens"


def global_attention(model: Classifier) -> str | None:
    """A model on a transformer of timm's whose blocks each attend over all tokens."""
    attached = getattr(getattr(model, "trunk", None), "plain", False)
    if (attached or _is_plain_wrapped(model)) and _attentions(model):
        return None
    return (
        "attention rollout and its like are for plain vision transformers of timm's, attached or wrapped; "
        f"{model.name} is none: take grad_cam or layer_cam"
    )


def _is_plain_wrapped(model: Classifier) -> bool:
    """Whether it is a network of timm's with one grid throughout, that classifies by its class token or by a mean."""
    if not isinstance(model, Wrapped) or not type(model.network).__module__.startswith("timm."):
        return False
    pools = getattr(model.network, "global_pool", None) in ("token", "avg")
    return pools and getattr(model.network, "attn_pool", None) is None and is_plain(model.network)


def _reads_class_token(model: Classifier) -> bool:
    return isinstance(model, Wrapped) and getattr(model.network, "global_pool", None) == "token"


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
    return {_MAP: _on_grid(model, rolled, features)}


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
    return {_MAP: _on_grid(model, relevance - _identity(blocks[0]), features)}


def _identity(attention: Float[Tensor, "n heads t t"]) -> Float[Tensor, "t t"]:
    return torch.eye(attention.shape[-1], device=attention.device, dtype=attention.dtype)


def _on_grid(
    model: Classifier, relevance: Float[Tensor, "n t t"], features: dict[str, Tensor]
) -> Float[Tensor, "n h w"]:
    """The row of the class token, or the mean one of the grid's tokens, which are the last ones; on the grid."""
    height, width = list(features.values())[-1].shape[2:]
    rows = relevance[:, :1] if _reads_class_token(model) else relevance[:, -height * width :]
    return rows[..., -height * width :].mean(1).view(len(relevance), height, width)


def _attentions(model: nn.Module) -> list[Any]:
    """timm's attention modules that can give their matrices, from the first block to the last.

    XCiT's own, which is of channels to channels, has none of tokens to tokens.
    """
    return [
        module
        for module in model.modules()
        if hasattr(module, "fused_attn") and hasattr(module, "attn_drop") and type(module).__name__ != "XCA"
    ]


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
