"""Assembled tables: one row per course in memory, whose problems name the rows of the exports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from features.base.errors import Problem
from features.intake.frame import Contribution
from features.sources.raw_table import RawTable


@dataclass(frozen=True)
class AssembledTable(RawTable):
    """A table that intake made. Problems of a cell name the table, column and row it is from."""

    # By column, what it was made of; of `patient_id`, any table that has the patient.
    origins: Mapping[str, Sequence[Contribution]] = field(default_factory=dict)

    def locate_problem(self, problem: Problem) -> list[Problem]:
        """Name the rows of the exports; what is from none keeps the numbers of the courses."""
        courses = np.array(problem.rows, dtype=np.intp) - 1
        own = problem.field in self.origins
        located: list[Problem] = []
        # Problems of a course as a whole are shown where its patient first appears.
        for entry in self.origins.get(problem.field, self.origins.get("patient_id", ())):
            rows = entry.rows[courses]
            frame = entry.link.frame
            if own:
                became = f" ({problem.field})" if problem.field != entry.label else ""
                message = f"{problem.message}{became}"
                located += frame.explain(entry.label, problem.rule, message, rows[rows >= 0])
            else:
                message = f"{problem.message} (rows of {frame.name})"
                located += [
                    replace(part, field=problem.field)
                    for part in frame.explain(None, problem.rule, message, rows[rows >= 0])
                ]
            courses = courses[rows < 0]
        if len(courses) or not problem.rows:
            located.append(replace(problem, rows=tuple((courses + 1).tolist())))
        return located
