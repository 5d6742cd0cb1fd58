"""A compatibility function of your own: the cosine between each local feature and the query, sharpened by a factor.

Once it has a name every network here takes it, saves it and loads it again (where this module was imported before).
Run it to train a small network with it on the embedded data: python examples/own_compatibility.py runs/cosine
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.attention import COMPATIBILITIES, Compatibility


class Cosine(Compatibility):
    """t <l, g> / (|l| |g|): reads the query, and no local feature wins by its length alone."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.tensor(10.0))

    def forward(self, local: Tensor, query: Tensor) -> Tensor:  # (n, d, h, w), (n, d) -> scores (n, h, w)
        return self.t * F.cosine_similarity(local, query[:, :, None, None], dim=1)


COMPATIBILITIES["cosine"] = Cosine

if __name__ == "__main__":
    from payattention.cli.app import run

    model = pa.create_model("vgg_att2_concat_pc", 10, 0.125, compatibility="cosine")
    print(model.attend(torch.rand(2, 3, 32, 32)).maps["layer10"].shape)  # (2, 16, 16)
    options = ["--model", "vgg_att2_concat_pc", "--width", "0.125", "--set", "compatibility=cosine"]
    sys.exit(run(["train", *options, "--recipe", "quickstart", "--out", str(Path(sys.argv[1]))]))
