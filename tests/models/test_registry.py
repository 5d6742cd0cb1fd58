"""The registry's names, options and errors."""

import pytest
import torch

import payattention as pa
from payattention.errors import UsageError


def test_names_are_globbed() -> None:
    assert pa.list_models("vgg_att2_*_pc") == ["vgg_att2_concat_pc", "vgg_att2_indep_pc"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "vgg_at2_concat_pc"}, "did you mean 'vgg_att2_concat_pc'"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"width": 0}, "width is 0"),
        ({"width": 1000}, "width is 1000"),
        ({"dropuot": 1}, "unknown option of vgg_att2_concat_pc 'dropuot'; did you mean 'dropout'"),
        ({"compatibility": "pcc"}, "unknown compatibility function 'pcc'"),
        ({"prior": "strong"}, "unknown prior 'strong'; did you mean 'strength'"),
        ({"head": "mean"}, "there are: concat, indep, logit_sum"),
        ({"layout": "bird"}, "unknown layout 'bird'"),
        ({"taps": "behind"}, "unknown place of the taps 'behind'"),
    ],
)
def test_wrong_calls_name_what_is_right(call: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        pa.create_model(**({"name": "vgg_att2_concat_pc", "num_classes": 2, "width": 0.0625} | call))


def test_images_of_another_shape_are_refused() -> None:
    model = pa.create_model("vgg", 2, 0.0625)
    with pytest.raises(UsageError, match=r"images are \(n, 3, height, width\); got \(3, 32, 32\)"):
        model.prepared(torch.rand(3, 32, 32))
    with pytest.raises(UsageError, match="whole numbers"):
        model.prepared(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
