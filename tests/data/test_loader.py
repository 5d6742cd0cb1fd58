"""An image set is what PyTorch's loaders take."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from payattention.data import ImageSet
from payattention.data.tensors import images_of


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_gives_the_same_images(image_set: ImageSet, workers: int) -> None:
    context = "fork" if workers else None
    loader = DataLoader(image_set, batch_size=5, num_workers=workers, multiprocessing_context=context)  # type: ignore[arg-type]
    batches = list(loader)
    images, labels = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
    assert torch.equal(images, images_of(image_set, slice(None), torch.device("cpu")))
    assert labels.dtype == torch.int64
    assert (labels.numpy() == image_set.labels).all()


def test_one_by_one(image_set: ImageSet) -> None:
    image, label = image_set[np.int64(-1)]
    assert (image.shape, image.dtype, label) == ((3, 32, 32), torch.float32, int(image_set.labels[-1]))
    image.zero_()  # a copy
    assert image_set.images[-1].any()
    assert len(list(iter(image_set))) == len(image_set)  # type: ignore[call-overload]
    with pytest.raises(IndexError):
        image_set[len(image_set)]
