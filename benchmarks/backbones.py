"""What attention costs on timm backbones: parameters, multiply-adds and speed beside the bare network.

`python benchmarks/backbones.py` measures and writes results/backbones.json and docs/backbones.md;
`python benchmarks/backbones.py --render` only writes the page again.

Each backbone stands beside itself with attention at its last two levels, both classifying 1,000 classes, at 224x224
with fresh weights. Multiply-adds are those of convolutions and matrix products for one picture, counted by PyTorch on
shapes alone. Speed is that of the forward pass in evaluation mode: the networks take turns within each round, so that
whatever else the machine does falls on all of them.
"""

import json
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import payattention as pa
from payattention.models.timm_backbones.backbone import build_backbone
from payattention.system.files import replacing, write_json
from payattention.system.provenance import Stopwatch

ROOT = Path(__file__).parent.parent
RESULT, PAGE = ROOT / "results" / "backbones.json", ROOT / "docs" / "backbones.md"
BACKBONES = """
resnet18 resnet50 resnext26ts skresnet18 convnext_atto convnextv2_atto tf_efficientnet_lite0 efficientnet_b0
mobilenetv2_050 mobilenetv3_small_050 mobilenetv4_conv_small_050 regnetx_002 regnety_002 densenet121 vgg11_bn
swin_tiny_patch4_window7_224 swinv2_cr_tiny_ns_224 vit_tiny_patch16_224 deit_tiny_patch16_224
vit_small_patch14_reg4_dinov2 vit_base_patch32_clip_224 vit_base_patch16_siglip_224 eva02_tiny_patch14_224
ghostnet_050 hrnet_w18_small dla34 pvt_v2_b0 mobilevit_xxs coatnet_nano_rw_224 xcit_nano_12_p16_224 mambaout_femto
repvit_m0_9 nf_regnet_b0
""".split()  # noqa: SIM905
VARIANTS = ("pc", "additive")
SIZE, CLASSES, BATCH, ROUNDS = 224, 1000, 4, 7


class Bare(nn.Module):
    """A timm network as it comes, its classifier included."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = build_backbone(name)
        self.network.reset_classifier(CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def variants(name: str) -> dict[str, nn.Module]:
    attended = {c: pa.attach(name, CLASSES, compatibility=c).eval() for c in VARIANTS}
    return {"bare": Bare(name).eval(), **attended}


def measured(name: str) -> dict[str, Any]:
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
    speeds = images_per_second(variants(name))
    return {"backbone": name, **{v: {**costs[v], "images_per_second": speeds[v]} for v in costs}}


@torch.no_grad()
def multiply_adds(network: nn.Module, images: Tensor) -> int:
    network.requires_grad_(False)  # or else PyTorch's counter stumbles over parameters that are used as inputs
    with FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops() // 2


@torch.inference_mode()
def images_per_second(networks: dict[str, nn.Module]) -> dict[str, dict[str, float]]:
    images = torch.rand(BATCH, 3, SIZE, SIZE)
    rates: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(ROUNDS + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            network(images)
            if number:  # the first round warms up
                rates[name].append(BATCH / (time.perf_counter() - start))
    return {
        name: {
            "min": round(min(found), 2),
            "median": round(statistics.median(found), 2),
            "max": round(max(found), 2),
        }
        for name, found in rates.items()
    }


def page(result: dict[str, Any]) -> str:
    """The table as Markdown."""
    made = result["provenance"]
    lines = [
        "# What attention costs on timm backbones",
        "",
        "<!-- written by benchmarks/backbones.py from results/backbones.json -->",
        "",
        f"`pa.attach(NAME, 1000)`: attention at the last two levels, at {SIZE}x{SIZE}, beside the bare network with "
        f"its own classifier of {CLASSES:,} classes. Multiply-adds (M) are those of convolutions and matrix products, "
        "for one picture; the percentages are what attention adds. The scale of `additive` grows with the grid and the "
        "channels, that of `pc` hardly.",
        "",
        f"Images a second: median of {ROUNDS} rounds (least to most) of batches of {BATCH}, forward pass, the networks "
        f"taking turns; {made['device']}, PyTorch {made['versions']['torch']}, {made['date']}. Where attention is "
        "faster than bare, the bare network computes a wide last layer that attention does not need.",
        "",
        "| backbone | parameters (M) | pc | additive | multiply-adds (M) | pc | additive "
        "| images/s bare | pc | additive |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(backbone) for backbone in result["backbones"]]
    return "\n".join(lines) + "\n"


def _row(backbone: dict[str, Any]) -> str:
    cells = [backbone["backbone"]]
    for what in ("parameters", "multiply_adds"):
        bare = backbone["bare"][what]
        cells.append(f"{bare / 1e6:,.1f}")
        cells += [f"{100 * (backbone[variant][what] / bare - 1):+.1f} %" for variant in VARIANTS]
    for variant in ("bare", *VARIANTS):
        rate = backbone[variant]["images_per_second"]
        cells.append(f"{rate['median']:.0f} ({rate['min']:.0f} to {rate['max']:.0f})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    if "--render" not in sys.argv:
        watch = Stopwatch()
        found = []
        for name in BACKBONES:
            torch.manual_seed(0)
            found.append(measured(name))
            print(_row(found[-1]), file=sys.stderr)
        provenance = asdict(watch.provenance(torch.device("cpu"), 0))
        provenance["command"] = "python benchmarks/backbones.py"
        write_json(RESULT, {"size": SIZE, "classes": CLASSES, "backbones": found, "provenance": provenance})
    with replacing(PAGE) as partial:
        partial.write_text(page(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
