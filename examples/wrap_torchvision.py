"""Where does a torchvision network look? python examples/wrap_torchvision.py cat.jpg cat.overlay.png

The network stays as it is; its maps are read out afterwards, here by Grad-CAM and LayerCAM.
"""

import sys
from pathlib import Path

from torch import nn
from torchvision import models

import payattention as pa


def look(network: nn.Module, picture: Path, out: Path) -> pa.Explanation:
    """Draws the maps of the predicted class and says what the network takes the picture for."""
    model = pa.wrap(network)  # torchvision's normalisation, size and class names are known; else give mean=, std=, ...
    result = pa.explain(model, picture, method="grad_cam")
    result.overlay().save(out)
    for name, probability in result.top.items():
        print(f"{probability:6.1%} {name}")
    runner_up = list(result.top)[1]  # why not the second? its own map says where it was seen
    pa.explain(model, picture, method="layer_cam", target=runner_up).overlay().save(out.with_stem(f"{out.stem}-second"))
    return result


if __name__ == "__main__":
    look(models.squeezenet1_1(weights="DEFAULT"), Path(sys.argv[1]), Path(sys.argv[2]))
