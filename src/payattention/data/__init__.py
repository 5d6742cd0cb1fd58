"""Data sets: `load_data(name, split)` gives an `ImageSet`, whatever the name."""

from payattention.data.catalogue import CATALOGUE, Facts
from payattention.data.imageset import ImageSet
from payattention.data.load import check_name, load_data
from payattention.data.masked import MaskedPictures, masked_pictures
from payattention.data.parts import held_out, limited, of_classes

__all__ = [
    "CATALOGUE",
    "Facts",
    "ImageSet",
    "MaskedPictures",
    "check_name",
    "held_out",
    "limited",
    "load_data",
    "masked_pictures",
    "of_classes",
]
