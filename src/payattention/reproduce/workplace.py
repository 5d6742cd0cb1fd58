"""Where the work lies: results, run folders, data; and what is done, missing or broken there."""

from dataclasses import dataclass
from pathlib import Path

from payattention.data import CATALOGUE
from payattention.data.load import state
from payattention.data.places import located, path_of
from payattention.errors import DataError
from payattention.reproduce.jobs import Job, Training
from payattention.reproduce.results import CELLS, read_cell
from payattention.weights.header import WEIGHTS


@dataclass(frozen=True)
class Workplace:
    """The folders that `payattention reproduce` works with.

    Attributes:
        results: The results folder; the cells' lie in `cells/` there.
        runs: Of the run folders, the logs and the claims.
        data_root: Where data sets lie; None for the program's default.
    """

    results: Path
    runs: Path
    data_root: Path | None = None

    def result(self, job: Job) -> Path:
        return self.results / CELLS / f"{job.name}.json"

    def log(self, job: Job) -> Path:
        return self.runs / f"{job.name}.log"

    def slices(self, job: Job) -> Path:
        """When a job's command ran (`payattention.reproduce.slices`)."""
        return self.runs / f"{job.name}.slices"

    def failure(self, job: Job) -> Path:
        """The note that a failed job leaves, so that it is not tried again and again."""
        return self.runs / f"{job.name}.failed"

    def has_result(self, job: Job) -> bool:
        return self.result(job).exists()

    def has_weights(self, training: Training) -> bool:
        return (self.runs / training.name / WEIGHTS).is_file()

    def broken(self, job: Job) -> str | None:
        """What is wrong with a job's result; None if it has none or a good one."""
        try:
            if self.has_result(job):
                read_cell(self.result(job))
        except DataError as error:
            return str(error)
        return None

    def missing_data(self, job: Job) -> str | None:
        """The data set that a job needs and this machine lacks."""
        if job.read_as:
            path = located(path_of(job.read_as.partition(":")[2]), self.data_root)
            there = job.read_as in CATALOGUE or path.exists()
        else:
            there = state(CATALOGUE[job.data], self.data_root).startswith("ready")
        return None if there else job.read_as or job.data
