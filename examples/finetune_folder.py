"""Fine-tune attention on photos/CLASS/*.jpg: python examples/finetune_folder.py photos runs/photos

The backbone's weights change, too; with freeze=True and the recipe "probe" only attention and head are trained.
"""

import sys
from pathlib import Path

import payattention as pa
from payattention.models import native_size
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.training.recipe import load_recipe


def finetune(photos: Path, out: Path, backbone: str = "tf_efficientnet_lite0", **changes: object) -> pa.Classifier:
    """Trains on a fifth less than all pictures and measures on the rest; `changes` are fields of the recipe."""
    name = f"timm:{backbone}"
    size = native_size(name)  # pixels: what the backbone was pre-trained with
    train, test = (pa.load_data(f"folder:{photos}", split, image_size=size) for split in ("train", "test"))
    config = RunConfig(name, load_recipe("finetune", changes), options={"pretrained": True, "levels": 2})
    model, result = train_and_test(config, train, test, out)  # a run folder, as `payattention train` writes it
    print(f"{result['test']['error']:.1f} % of {result['test']['count']} test pictures are wrong; {out} holds the run")
    return model


if __name__ == "__main__":
    finetune(Path(sys.argv[1]), Path(sys.argv[2]))
