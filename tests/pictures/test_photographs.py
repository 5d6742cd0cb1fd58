"""Photographs to try things on are there, and can be read."""

from payattention.pictures.finding import picture_files, unreadable
from payattention.pictures.photographs import NAMES, photographs


def test_they_are_there_and_can_be_read() -> None:
    files = photographs()
    assert [file.name for file in files] == list(NAMES)
    assert unreadable(picture_files(files), strict=True) == {}
