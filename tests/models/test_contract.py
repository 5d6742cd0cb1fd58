"""What a classifier says of itself."""

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.errors import UsageError
from payattention.training.features import is_frozen

SMALL = 0.0625


@pytest.mark.parametrize("name", pa.list_models())
def test_every_network_says_where_and_in_what_it_computes(name: str) -> None:
    with torch.device("meta"):
        model = pa.create_model(name, 3, SMALL)
    assert (model.device, model.dtype) == (torch.device("meta"), torch.float32)
    assert model.bfloat16().dtype == torch.bfloat16
    assert model.sizes == (model.min_size, None)
    assert model.frozen == ()
    assert model.class_names(2) == ("0", "1")
    model.classes = ("cat", "dog", "fish")
    assert model.class_names(3) == ("cat", "dog", "fish")


def test_frozen_parts_are_named_as_wholes() -> None:
    backbone = pa.attach("test_resnet", 3, freeze=True)
    assert backbone.frozen == ("trunk.backbone",)
    assert is_frozen(backbone)
    whitened = pa.create_model("fast_att_pc", 3, SMALL, whiten=True)
    assert whitened.frozen == ("trunk.stem.conv.weight",)  # its bias is trained
    model = pa.create_model("vgg_att_pc", 3, SMALL)
    model.trunk.layers["conv2"].requires_grad_(False)
    model.head.requires_grad_(False)
    assert model.frozen == ("trunk.layers.conv2", "head")
    assert not is_frozen(model)
    assert model.requires_grad_(False).frozen == ("",)


def test_a_size_that_whitening_was_not_made_for_is_refused_before_a_picture_is_read() -> None:
    model = pa.create_model("vgg_att_pc", 3, SMALL, preprocessing="gcn_zca").eval()
    assert model.sizes == (32, 32)
    square = Image.fromarray(np.zeros((40, 40, 3), np.uint8))
    assert pa.explain(model, square).maps
    with pytest.raises(UsageError, match="size is 64 pixels: vgg_att_pc takes 32 only"):
        pa.explain(model, square, size=64)
