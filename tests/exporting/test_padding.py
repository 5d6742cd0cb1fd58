"""TensorFlow's padding, written as a number, is what timm computes of the sides, where these are multiples."""

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from payattention.exporting.outputs import with_plain_padding


@pytest.mark.parametrize("bias", [True, False])
def test_plain_padding_is_the_computed_one_for_multiples_of_the_stride(bias: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        Conv2dSame(3, 4, 3, stride=2, bias=bias),
        nn.Sequential(Conv2dSame(4, 4, (5, 3), stride=2, groups=4, bias=bias), nn.ReLU()),
        Conv2dSame(4, 6, 3, stride=1, dilation=2, bias=bias),
        Conv2dSame(6, 6, 2, stride=2, bias=bias),
    ).eval()
    pictures = [torch.rand(2, 3, height, width) for height, width in ((32, 32), (64, 96), (8, 8))]
    with torch.no_grad():
        computed = [network(picture) for picture in pictures]
        with_plain_padding(network)
        assert not any(isinstance(module, Conv2dSame) for module in network.modules())
        for picture, found in zip(pictures, computed, strict=True):
            torch.testing.assert_close(network(picture), found)
