"""What a classifier says of pictures: their most probable classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from payattention.errors import without_numbers
from payattention.models.classifier import Classifier

TOP = 5
"""Classes that are told of a picture, unless another number is asked for."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        picture: Its file, or its place in one.
        label: The predicted class.
        top: The most probable classes with their probabilities, the first one first.
        true: The class that it is of, where that is known.
    """

    picture: str
    label: str
    top: Mapping[str, float]
    true: str | None = None

    @property
    def probability(self) -> float:
        """The predicted class's."""
        return self.top[self.label]

    @property
    def wrong(self) -> bool:
        """Whether it is known to be of another class."""
        return self.true is not None and self.true != self.label


@torch.no_grad()
def predictions(
    model: Classifier,
    logits: Float[Tensor, "n c"],
    pictures: Sequence[str],
    classes: Sequence[str],
    true: Sequence[str] | None = None,
    top: int = TOP,
) -> list[Prediction]:
    """The predictions that a model's logits for some pictures are.

    Args:
        model: Gave the logits; its temperature makes probabilities of them, and cannot change a predicted class.
        logits: As the model gave them.
        pictures: What each is called.
        classes: The names of the C classes.
        true: The class of each.
        top: How many classes are told, if there are as many.

    Raises:
        DataError: Logits that are no numbers.
    """
    check_logits(model, logits)
    probabilities = model.probabilities(logits).cpu().numpy()
    order = np.argsort(-logits.float().cpu().numpy(), axis=1, kind="stable")[:, :top]  # (n, top); the first of equals
    return [
        Prediction(
            picture,
            classes[order[k, 0]],
            {classes[label]: float(probabilities[k, label]) for label in order[k]},
            None if true is None else true[k],
        )
        for k, picture in enumerate(pictures)
    ]


def check_logits(model: Classifier, logits: Tensor) -> None:
    """Raises DataError for logits that are no numbers: their largest says nothing, and no attack would change it."""
    if not logits.isfinite().all():
        raise without_numbers(f"the logits of this {model.name}")
