"""Scoring a cohort: streamed, every row accounted for, the output complete or absent."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from features.base.commands import track
from features.base.errors import CohortError, InputError, Problem
from features.base.files import open_atomic
from features.dictionary.dictionary import Dictionary
from features.intake.exports import Paths
from features.model.estimator import Estimates
from features.records.cohort import Batch, list_courses, open_cohort, read_batches
from features.records.columns import Columns
from features.records.eligibility import check_eligibility
from features.records.mapping import Mapper
from features.records.short_forms import ShortForms
from features.sources.raw_table import RawTable
from serving.estimates.predictor import Predictor

NO_MODEL = "no_model"
SCORE_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("patient_id", pa.string()),
        ("course", pa.int64()),
        ("outcome", pa.string()),
        ("probability", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("effective_sample_size", pa.float64()),
        ("base_rate", pa.float64()),
        ("abstained", pa.string()),
        ("abstained_fields", pa.string()),
        ("prorated", pa.string()),
        ("factors_reason", pa.string()),
        ("model_version", pa.string()),
        ("model_digest", pa.string()),
        ("data", pa.string()),
    ]
)
REJECT_SCHEMA = pa.schema(
    [("row", pa.int64()), *((name, pa.string()) for name in ("field", "rule", "message"))]
)


@dataclass
class Tally:
    """Counts of a cohort's rows by result."""

    rows: int = 0
    estimates: int = 0
    abstained: int = 0
    without_model: int = 0
    prorated: int = 0  # Of estimated and abstained, those with a pro-rated total
    rejected: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)  # Of the rejected rows

    def reject(self, rows: Iterable[int], problems: list[Problem]) -> None:
        """Note rejected rows; their problems may name the rows of several exports."""
        self.problems += problems
        self.rejected.update(rows)


def score_cohort(
    predictor: Predictor, paths: Paths, out: Path, rejects: Path | None, mapper: Mapper
) -> Tally:
    """Score a cohort, or the exports that a mapping joins, into a file.

    One line per course and outcome; a course for whose condition there is no model has one line
    that says so. Rejected rows go to `rejects`, each problem with its row, field and rule. Raises
    InputError if the cohort cannot be read at all, its items are those of a shorter scale, or a
    path has an unknown suffix; nothing is written.
    """
    for target in (out, rejects):
        _check_ending(target)
    table, mapper, _ = open_cohort(paths, mapper, dictionary=predictor.dictionary)
    tally = Tally()
    with ExitStack() as stack:
        # Atomic: an interrupted run leaves no file that looks complete.
        file = stack.enter_context(open_atomic(out))
        writer = stack.enter_context(_open_writer(out, file, SCORE_SCHEMA))
        for batch in track(
            _list_valid(table, mapper, predictor.dictionary, tally), None, "scoring"
        ):
            scored = _score_batch(predictor, table, batch, tally)
            # Courses without a model lack most columns: those are null.
            scores = pa.concat_tables(scored, promote_options="default")
            # Champions answer one after the other; the reader expects the order of the cohort.
            writer.write(scores.sort_by("row"))
    if rejects is not None:
        _write_rejects(rejects, tally)
    return tally


def _check_ending(path: Path | None) -> None:
    if path is not None and path.suffix not in (".parquet", ".csv"):
        problem = Problem(path.name, "format", "must end in .parquet or .csv")
        raise InputError([problem], source="output")


def _open_writer(path: Path, file: IO[bytes], schema: Any) -> Any:
    if path.suffix == ".csv":
        return csv.CSVWriter(file, schema)
    return parquet.ParquetWriter(file, schema)


def _list_valid(
    table: RawTable, mapper: Mapper, dictionary: Dictionary, tally: Tally
) -> Iterator[Batch]:
    seen: set[int] = set()
    forms = ShortForms()
    for batch in read_batches(table, mapper, dictionary=dictionary):
        repeated = _find_repeated(batch.columns, seen)
        if repeated:
            positions = tuple(batch.first_row + index for index in repeated)
            message = "duplicate patient and course; number repeat courses in `course`"
            problem = Problem("patient_id", "duplicate", message, positions)
            problems = [*batch.problems, *table.locate_problem(problem)]
            batch = replace(batch, problems=problems, wrong=batch.wrong.union(positions))
        forms.add(batch.columns)
        forms.add_followups(batch.followups)
        tally.rows += batch.columns.size
        tally.reject(table.number_rows(sorted(batch.wrong)), batch.problems)
        yield batch
    tally.reject(table.ragged, table.list_ragged())
    tally.rows += len(table.ragged)
    # Only the last row shows that an item is in none.
    if problems := list(forms.explain_short()):
        raise CohortError(problems, source=table.source)


# Hashes, not the texts, so that millions fit in memory.
def _find_repeated(columns: Columns, seen: set[int]) -> list[int]:
    repeated = []
    for index, course in enumerate(list_courses(columns)):
        key = hash(course)
        if key in seen and course[0] is not None:
            repeated.append(index)
        seen.add(key)
    return repeated


def _score_batch(
    predictor: Predictor, table: RawTable, batch: Batch, tally: Tally
) -> Iterator[Any]:
    positions = range(batch.first_row, batch.first_row + batch.columns.size)
    numbers = np.array(table.number_rows(positions), dtype=np.int64)
    valid = np.array([position not in batch.wrong for position in positions], dtype=bool)
    columns, numbers = batch.columns.select(valid), numbers[valid]
    answered = np.zeros(columns.size, dtype=bool)
    for estimates in predictor.answer(columns, check_eligibility(columns)):
        answered[estimates.rows] = True
        withheld = int(estimates.withheld.sum())
        tally.abstained += withheld
        tally.estimates += len(estimates.rows) - withheld
        tally.prorated += sum(map(bool, estimates.prorated))
        yield _tabulate(estimates, numbers[estimates.rows])
    tally.without_model += int((~answered).sum())
    unanswered = columns.select(~answered)
    reasons = pa.array([NO_MODEL] * unanswered.size, pa.string())
    yield pa.table({**_describe_courses(unanswered, numbers[~answered]), "abstained": reasons})


def _tabulate(estimates: Estimates, numbers: Any) -> Any:
    card, prediction = estimates.model.card, estimates.prediction
    made_up = card.simulated or bool((estimates.columns.get_numbers("simulated") == 1).any())
    count, withheld = len(estimates.rows), estimates.withheld

    def show(values: Any) -> Any:
        return pa.array(values, pa.float64(), mask=withheld | np.isnan(values))

    reasons, fields = estimates.list_abstentions()
    prorated = [" ".join(names) or None for names in estimates.prorated]
    return pa.table(
        {
            **_describe_courses(estimates.columns, numbers),
            "outcome": [card.outcome.id] * count,
            "probability": show(prediction.probability),
            "low": show(prediction.low),
            "high": show(prediction.high),
            "effective_sample_size": show(prediction.effective_sample_size),
            "base_rate": [card.population.base_rate] * count,
            "abstained": reasons,
            "abstained_fields": fields,
            "prorated": prorated,
            "factors_reason": pa.array([card.factors_reason] * count, pa.string()),
            "model_version": [estimates.version] * count,
            "model_digest": [estimates.model.digest] * count,
            "data": ["SIMULATED" if made_up else "real"] * count,
        },
        schema=SCORE_SCHEMA,
    )


def _describe_courses(columns: Columns, numbers: Any) -> dict[str, Any]:
    courses = list_courses(columns)
    return {
        "row": pa.array(numbers, pa.int64()),
        "patient_id": pa.array([patient for patient, _ in courses], pa.string()),
        "course": pa.array([int(course) for _, course in courses], pa.int64()),
    }


def _write_rejects(path: Path, tally: Tally) -> None:
    lines = sorted(
        (row, problem.field, problem.rule, problem.message)
        for problem in tally.problems
        for row in problem.rows
    )
    columns = list(zip(*lines, strict=True)) or [()] * len(REJECT_SCHEMA)
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns, REJECT_SCHEMA, strict=True)
    ]
    with open_atomic(path) as file, _open_writer(path, file, REJECT_SCHEMA) as writer:
        writer.write(pa.table(arrays, schema=REJECT_SCHEMA))
