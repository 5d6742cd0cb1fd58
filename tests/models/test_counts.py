"""Parameters and multiply-adds at full width: the counts of the authors' networks.

14,991,946 parameters of the baseline are printed in the authors' notebook; 1,703,258 of ResNet-164 in the log of Wide
Residual Networks. The others were counted on independent models of the authors' layers, or by hand from these (a third
level on stage 1 of 64 channels: 256 -> 64 by BN and a linear layer, u, its BN, 64 more inputs of the classifier). The
fast networks' were added up by hand, layer by layer; without ceil_mode, 118 million multiply-adds are the 0.71 GFLOP
that a training image was measured to need, six operations each. Multiply-adds are those of convolutions and linear
layers: they tell each layer's grid, so they check where every pool stands.
"""

from typing import Any

import pytest
import torch
from torch import nn

import payattention as pa

CIFAR, CUB = (32, {}), (80, {"layout": "cub"})

COUNTS = [
    ("vgg", 10, CIFAR, 14_991_946, 313_463_808),
    ("vgg", 100, CIFAR, 15_038_116, 313_509_888),
    ("vgg_att_pc", 10, CIFAR, 19_714_123, 3_786_380_288),
    ("vgg_att_pc", 100, CIFAR, 19_760_293, 3_786_426_368),
    ("vgg_att2_concat_pc", 10, CIFAR, 19_720_780, 3_786_516_480),
    ("vgg_att2_concat_pc", 100, CIFAR, 19_813_030, 3_786_608_640),
    ("vgg_att3_concat_pc", 10, CIFAR, 19_856_461, 3_786_912_256),
    ("vgg_att3_concat_pc", 100, CIFAR, 19_971_751, 3_787_027_456),
    ("vgg_att_dp", 10, CIFAR, 19_713_610, 3_786_347_520),
    ("vgg_att_dp", 100, CIFAR, 19_759_780, 3_786_393_600),
    ("vgg_att2_concat_dp", 10, CIFAR, 19_719_754, 3_786_352_640),
    ("vgg_att2_concat_dp", 100, CIFAR, 19_812_004, 3_786_444_800),
    ("vgg_att3_concat_dp", 10, CIFAR, 19_855_178, 3_786_486_272),
    ("vgg_att3_concat_dp", 100, CIFAR, 19_970_468, 3_786_601_472),
    ("vgg_att2_indep_pc", 10, CIFAR, 19_720_790, 3_786_516_480),
    ("vgg_att2_indep_pc", 100, CIFAR, 19_813_130, 3_786_608_640),
    ("vgg_att2_indep_dp", 10, CIFAR, 19_719_764, 3_786_352_640),
    ("vgg_att2_indep_dp", 100, CIFAR, 19_812_104, 3_786_444_800),
    ("vgg_att3_indep_pc", 10, CIFAR, 19_856_481, 3_786_912_256),
    ("vgg_att3_indep_pc", 100, CIFAR, 19_971_951, 3_787_027_456),
    ("vgg_gap", 10, CIFAR, 14_728_266, 3_738_899_456),
    ("vgg_gap", 100, CIFAR, 14_774_436, 3_738_945_536),
    ("vgg_pan", 10, CIFAR, 24_698_956, 3_833_959_424),
    ("vgg_pan", 100, CIFAR, 24_745_126, 3_834_005_504),
    ("resnet164", 10, CIFAR, 1_703_258, 244_500_992),
    ("resnet164", 100, CIFAR, 1_726_388, 244_524_032),
    ("resnet164_att2_concat_pc", 10, CIFAR, 2_395_484, 254_086_912),
    ("resnet164_att2_concat_pc", 100, CIFAR, 2_430_134, 254_121_472),
    ("resnet164_att_pc", 10, CIFAR, 2_360_411, 254_020_096),
    ("resnet164_att_pc", 100, CIFAR, 2_383_541, 254_043_136),
    ("resnet164_att3_concat_pc", 10, CIFAR, 2_413_277, 254_169_472),
    ("resnet164_att3_concat_pc", 100, CIFAR, 2_453_687, 254_209_792),
    ("resnet164_att2_concat_dp", 10, CIFAR, 2_395_098, 254_037_760),
    ("resnet164_att2_indep_pc", 10, CIFAR, 2_395_494, 254_086_912),
    ("vgg_att2_concat_pc", 10, (32, {"queries": "own"}), 24_705_100, 3_833_964_544),
    ("vgg_att3_concat_pc", 10, (32, {"queries": "own"}), 26_545_997, 3_883_840_000),
    ("vgg_att3_concat_pc", 10, (32, {"projection": "up_norm"}), 19_860_045, 3_921_263_616),
    ("vgg_att3_concat_pc", 100, (32, {"projection": "up_norm"}), 19_998_375, 3_921_401_856),
    ("vgg_pan", 10, (32, {"gate_level": "layer7"}), 21_551_948, 3_836_253_184),
    ("fast", 10, CIFAR, 1_972_826, 145_684_768),
    ("fast_gap", 10, CIFAR, 1_972_826, 145_684_768),
    ("fast_att2_concat_pc", 10, CIFAR, 2_042_716, 145_773_344),
    ("fast_att2_concat_pc", 10, (32, {"ceil_mode": False}), 2_042_716, 118_230_304),
    ("fast_att2_concat_pc", 10, (32, {"whiten": True}), 2_042_692, 145_773_344),
    ("fast_att2_concat_pc", 10, (32, {"depth": 3}), 3_260_380, 202_396_448),
    ("fast_att2_concat_uniform", 10, CIFAR, 2_042_202, 145_752_864),
    ("fast_att3_concat_pc", 10, CIFAR, 2_060_509, 145_806_752),
    ("vgg", 200, CUB, 15_089_416, 1_920_094_208),
    ("vgg_att2_concat_pc", 200, CUB, 19_915_530, 13_110_501_376),
    ("vgg_pan", 200, CUB, 24_796_426, 13_157_847_040),
    ("saoyan_vgg_att3", 100, (32, {"taps": "before"}), 19_993_764, 3_921_401_856),
    ("saoyan_vgg_att3", 100, (32, {"taps": "after"}), 19_993_764, 3_820_222_464),
    ("saoyan_vgg", 100, CIFAR, 19_758_756, 3_786_393_600),
    ("saoyan_vgg", 10, (64, {"image_size": 64}), 20_499_018, 15_145_374_720),
]


def multiply_adds(model: nn.Module, images: torch.Tensor) -> int:
    """Of convolutions and linear layers, for one image."""
    total = 0

    def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model(images)
    return total


@pytest.mark.parametrize(("name", "classes", "kind", "parameters", "operations"), COUNTS)
def test_counts(name: str, classes: int, kind: tuple[int, dict[str, Any]], parameters: int, operations: int) -> None:
    size, options = kind
    with torch.device("meta"):
        model = pa.create_model(name, classes, **options).eval()
        counted = multiply_adds(model, torch.empty(1, 3, size, size))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert counted == operations


@pytest.mark.parametrize(
    ("name", "size", "options", "grids"),
    [
        ("vgg_att3_concat_pc", 32, {}, [32, 16, 8]),
        ("vgg_att3_concat_pc", 32, {"taps": "after"}, [16, 8, 4]),
        ("vgg_att3_concat_pc", 32, {"queries": "own"}, [32, 16, 8]),
        ("vgg_pan", 32, {}, [16, 8]),
        ("vgg_pan", 32, {"gate_level": "layer7"}, [32, 8]),
        ("vgg_gap", 32, {}, [8]),
        ("vgg_earlypool_att2_concat_pc", 32, {}, [4, 2]),
        ("resnet164_att2_concat_pc", 32, {}, [16, 8]),
        ("resnet164_att3_indep_dp", 32, {}, [32, 16, 8]),
        ("fast_att3_concat_pc", 32, {}, [16, 8, 4]),
        ("fast_att3_concat_pc", 32, {"ceil_mode": False}, [15, 7, 3]),
        ("vgg_att2_concat_pc", 80, {"layout": "cub"}, [16, 8]),
        ("vgg_att3_concat_pc", 80, {"layout": "cub"}, [80, 16, 8]),
        ("vgg_pan", 80, {"layout": "cub"}, [16, 8]),
        ("vgg_gap", 80, {"layout": "cub"}, [8]),
    ],
)
def test_grids(name: str, size: int, options: dict[str, Any], grids: list[int]) -> None:
    with torch.device("meta"):
        look = pa.create_model(name, 10, **options).eval().attend(torch.empty(1, 3, size, size))
    assert [tuple(map_.shape[1:]) for map_ in look.maps.values()] == [(grid, grid) for grid in grids]
