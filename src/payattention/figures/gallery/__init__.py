"""A gallery in one HTML file: pictures with their maps, to be sorted, filtered and looked at in a browser.

The file needs no server and loads nothing: pictures, maps, style and script lie in it, and its content security policy
forbids everything else.
"""

from payattention.figures.gallery.page import write_gallery
from payattention.figures.gallery.record import Record
from payattention.figures.gallery.sources import (
    check_one_class,
    gallery_of_files,
    gallery_of_rows,
    gallery_of_set,
    records_of_files,
    records_of_set,
    requests_of,
)

__all__ = [
    "Record",
    "check_one_class",
    "gallery_of_files",
    "gallery_of_rows",
    "gallery_of_set",
    "records_of_files",
    "records_of_set",
    "requests_of",
    "write_gallery",
]
