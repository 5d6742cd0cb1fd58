"""The names that stand in the sources of timm and torchvision are those that their own lists have."""

import timm
from torchvision import models

from payattention.system.registered import mentioned, registered, source


def test_the_names_in_the_sources_are_the_lists() -> None:
    assert sorted(registered("timm")) == sorted(timm.list_models())
    assert sorted(registered("torchvision")) == sorted(models.list_models(module=models))


def test_a_former_name_is_mentioned() -> None:
    assert mentioned("timm", "vit_tiny_patch16_224_in21k")
    assert not mentioned("timm", "resnet81")
    assert source("no_such_package") == ""
