"""timm networks that tests are about, but for those that the installed timm is too old for."""

import timm

RECENT = {"densenet121", "vgg11_bn", "hrnet_w18_small", "dla34", "xcit_nano_12_p16_224", "nf_regnet_b0"}
RECENT |= {"swin_tiny_patch4_window7_224", "inception_v3", "inception_resnet_v2"}
"""What timm before 1.0.31 gives no features of, or not of pictures of any size, or with parts that no tap needs."""


def of_this_timm(*names: str) -> list[str]:
    """Without what the installed timm is too old for; all, with a recent one."""
    old = tuple(map(int, timm.__version__.split(".")[:3])) < (1, 0, 31)
    return [name for name in names if not (old and name in RECENT)]
