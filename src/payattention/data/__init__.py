"""Data sets: `load_data(name, split)` gives an `ImageSet`, whatever the name."""

from payattention.data.imageset import ImageSet
from payattention.data.load import check_name, load_data

__all__ = ["ImageSet", "check_name", "load_data"]
