"""A set of half a gibibyte, and the last four steps of an epoch of it: for a test in two processes."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from payattention.data import ImageSet
from payattention.data.on_disk import OnDisk
from payattention.models import create_model
from payattention.system.processes import ALONE
from payattention.training.batches import training_set
from payattention.training.launch import launched
from payattention.training.loop import Position, Run, train
from payattention.training.recipe import Recipe

SHAPE = (2730, 256, 256, 3)
BATCH = 8


def made(file: Path) -> Path:
    """A file with holes, but for some pixels of each image."""
    random = np.random.default_rng(0)
    with file.open("wb") as opened:
        opened.truncate(int(np.prod(SHAPE)))
        for number in range(SHAPE[0]):
            opened.seek(number * int(np.prod(SHAPE[1:])))
            opened.write(random.bytes(256 * 3))
    return file


def trained(images: NDArray[np.uint8] | OnDisk, out: Path) -> None:
    data = ImageSet("large", "train", images, np.arange(SHAPE[0]) % 2, ("a", "b"))
    recipe = Recipe(summary="test", epochs=1, batch_size=BATCH, shift=2, sizes=(0.125,))
    torch.manual_seed(0)
    network = create_model("vgg_att2_concat_pc", 2, 0.0625, preprocessing="none")
    fabric, device = launched(torch.device("cpu"), "float32", ALONE), torch.device("cpu")
    last = SHAPE[0] // BATCH - 4
    run = Run(fabric, ALONE, network, training_set(data, device), recipe, 0, start=Position(0, last, last))
    train(run)
    run.close()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, out)
