"""What `payattention compare` shows: a sheet of maps, and a page that says which map is for which question."""

from payattention.figures.comparison.page import write_page
from payattention.figures.comparison.sheet import map_sheet

__all__ = ["map_sheet", "write_page"]
