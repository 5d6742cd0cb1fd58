"""Measures what attention costs on timm backbones, for docs/backbones.md: parameters, multiply-adds and speed.

`python benchmarks/backbones.py` writes results/backbones.json, then `python tools/pages/fill.py` the page.

Each backbone stands beside itself with attention at its last two levels, both classifying 1,000 classes, at 224x224
with fresh weights. Multiply-adds are those of convolutions and matrix products for one picture, counted by PyTorch on
shapes alone. Speed is that of the forward pass in evaluation mode: the networks take turns within each round, so that
whatever else the machine does falls on all of them.
"""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import payattention as pa
from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.models.timm_backbones.backbone import build_backbone
from payattention.speed.timing import Spread, alternated, seconds_of
from payattention.system.names import check_known

CPU = torch.device("cpu")
BACKBONES = """
resnet18 resnet50 resnext26ts skresnet18 convnext_atto convnextv2_atto tf_efficientnet_lite0 efficientnet_b0
mobilenetv2_050 mobilenetv3_small_050 mobilenetv4_conv_small_050 regnetx_002 regnety_002 densenet121 vgg11_bn
swin_tiny_patch4_window7_224 swinv2_cr_tiny_ns_224 vit_tiny_patch16_224 deit_tiny_patch16_224
vit_small_patch14_reg4_dinov2 vit_base_patch32_clip_224 vit_base_patch16_siglip_224 eva02_tiny_patch14_224
ghostnet_050 hrnet_w18_small dla34 pvt_v2_b0 mobilevit_xxs coatnet_nano_rw_224 xcit_nano_12_p16_224 mambaout_femto
repvit_m0_9 nf_regnet_b0
""".split()  # noqa: SIM905
VARIANTS = ("pc", "additive")
SIZE, CLASSES, BATCH = 224, 1000, 4


class Bare(nn.Module):
    """A timm network as it comes, its classifier included."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = build_backbone(name)
        self.network.reset_classifier(CLASSES)  # type: ignore[operator]

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)  # (n, classes)
        return logits


def variants(name: str) -> dict[str, nn.Module]:
    attended = {c: pa.attach(name, CLASSES, compatibility=c).eval() for c in VARIANTS}
    return {"bare": Bare(name).eval(), **attended}


def measured(name: str, rounds: int) -> dict[str, Any]:
    with torch.device("meta"):
        on_shapes = variants(name)
        images = torch.empty(1, 3, SIZE, SIZE)
    costs = {
        variant: {
            "parameters": sum(p.numel() for p in network.parameters()),
            "multiply_adds": multiply_adds(network, images),
        }
        for variant, network in on_shapes.items()
    }
    speeds = images_per_second(variants(name), rounds)
    return {"backbone": name, **{v: {**costs[v], "images_per_second": speeds[v]} for v in costs}}


@torch.no_grad()
def multiply_adds(network: nn.Module, images: Tensor) -> int:
    network.requires_grad_(False)  # or else PyTorch's counter stumbles over parameters that are used as inputs
    with FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops() // 2


@torch.inference_mode()
def images_per_second(networks: dict[str, nn.Module], rounds: int) -> dict[str, dict[str, float]]:
    images = torch.rand(BATCH, 3, SIZE, SIZE)
    passes = {name: partial(seconds_of, partial(network, images), CPU) for name, network in networks.items()}
    times = alternated(passes, rounds)
    return {name: asdict(Spread.of([BATCH / seconds for seconds in taken], 2)) for name, taken in times.items()}


def main(
    backbones: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Only these backbones.", show_default=f"all {len(BACKBONES)}"),
    ] = None,
    rounds: RoundsOption = 7,
    out: OutOption = None,
) -> None:
    chosen = BACKBONES if backbones is None else backbones.split(",")
    check_known("backbone", BACKBONES, *chosen)
    measurement, found = Measurement("backbones", out, CPU, seed=0), []
    for name in chosen:
        torch.manual_seed(0)
        found.append(measured(name, rounds))
        say(found[-1])
    settings = {"size": SIZE, "classes": CLASSES, "batch_size": BATCH, "rounds": rounds}
    measurement.write({**settings, "backbones": found})


if __name__ == "__main__":
    run_script(main)
