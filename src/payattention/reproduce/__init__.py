"""The paper's experiments as commands: its tables as data, a runner that fills them, a report that shows them."""

from payattention.reproduce.jobs import Departures
from payattention.reproduce.over_ray import Outcome, run_over_ray
from payattention.reproduce.queue import Planned, chosen_cells, plan, take_stock
from payattention.reproduce.report import write_report
from payattention.reproduce.runner import Tally, run
from payattention.reproduce.scale import SCALES
from payattention.reproduce.tables import Cell, Table, all_cells, load_tables
from payattention.reproduce.workplace import Workplace

__all__ = [
    "SCALES",
    "Cell",
    "Departures",
    "Outcome",
    "Planned",
    "Table",
    "Tally",
    "Workplace",
    "all_cells",
    "chosen_cells",
    "load_tables",
    "plan",
    "run",
    "run_over_ray",
    "take_stock",
    "write_report",
]
