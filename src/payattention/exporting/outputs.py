"""What an exported file gives, by name: the logits, each level's map, and these combined."""

import copy
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from payattention.models import Classifier
from payattention.models.rewrites.fold import fold_in_place, foldable
from payattention.models.rewrites.prune import prune_in_place
from payattention.models.timm_backbones.trunk import TimmTrunk

INPUT, LOGITS, COMBINED = "images", "logits", "combined"


def map_name(level: str) -> str:
    """What the map of a level is called in a file."""
    return f"map_{level}"


def names_of(levels: Sequence[str]) -> tuple[str, ...]:
    """All outputs of a network with these levels, in order."""
    return (LOGITS, *map(map_name, levels), *([COMBINED] if levels else []))


class Outputs(nn.Module):
    """A classifier whose forward pass gives all of them: what is captured, and what a file is held against."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "n channels h w"]) -> dict[str, Tensor]:
        look = self.model.attend(images)
        maps = {level: look.maps[level] for level in self.model.levels}
        found = {LOGITS: look.logits, **{map_name(level): map_ for level, map_ in maps.items()}}
        if maps:  # of one level it is that level's map, and no value of a graph has two names
            found[COMBINED] = self.model.joint(maps).clone()
        return found


def outputs_of(model: Classifier) -> Outputs:
    """Those of a copy on the CPU, in float32 and in evaluation mode."""
    return Outputs(_with_plain_maxima(copy.deepcopy(model))).cpu().float().eval().requires_grad_(False)


def step_of(model: Classifier) -> int:
    """Of what the sides of pictures are multiples that a model takes as they are; others it scales up to these."""
    trunk = getattr(model, "trunk", None)
    return trunk.stride if isinstance(trunk, TimmTrunk) and trunk.only_size is None else 1


def without_scaling(outputs: Outputs) -> Outputs:
    """The same outputs, in place, for such pictures alone: their graph then says nothing of others."""
    trunk = getattr(outputs.model, "trunk", None)
    if isinstance(trunk, TimmTrunk):
        trunk.stride = 1
        with_plain_padding(trunk)
    return outputs


def with_plain_padding(network: nn.Module) -> None:
    """Writes TensorFlow's padding as the number of pixels that it is where sides are multiples of the stride, in place.

    It is computed from the sides, layer upon layer; a graph for any size would carry formulas of formulas, over which
    its capture takes longer than anybody waits.
    """
    from timm.layers.conv2d_same import Conv2dSame

    for name, module in list(network.named_modules()):
        if isinstance(module, Conv2dSame):
            network.set_submodule(name, nn.Sequential(nn.ZeroPad2d(_padding_of(module)), _without_padding(module)))


def _padding_of(convolution: nn.Conv2d) -> tuple[int, int, int, int]:
    """Left, right, top, bottom."""
    sizes = zip(convolution.kernel_size, convolution.dilation, convolution.stride, strict=True)
    rows, columns = (max((kernel - 1) * dilation + 1 - stride, 0) for kernel, dilation, stride in sizes)
    return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2


def _without_padding(same: nn.Conv2d) -> nn.Conv2d:
    """The convolution alone, with the same weights."""
    alone = nn.utils.skip_init(  # which draws no random numbers
        nn.Conv2d,
        same.in_channels,
        same.out_channels,
        same.kernel_size,
        same.stride,
        dilation=same.dilation,
        groups=same.groups,
        bias=same.bias is not None,
    )
    alone.weight, alone.bias = same.weight, same.bias
    return alone


def slim(model: Classifier, *, pruned: bool, folded: bool) -> Classifier:
    """A copy without what cannot matter, and without the batch norms that can be folded, where it has any."""
    slimmer = copy.deepcopy(model).eval()
    if pruned and slimmer.dead_parameters():
        prune_in_place(slimmer)
    if folded and foldable(slimmer):
        fold_in_place(slimmer)
    return slimmer


class _Maximum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=True)


def _with_plain_maxima(model: Classifier) -> Classifier:
    """The same model, in place, whose maxima over all positions are written as such: ONNX has no adaptive ones."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.AdaptiveMaxPool2d) and module.output_size in (1, (1, 1)):
            model.set_submodule(name, _Maximum())
    return model
