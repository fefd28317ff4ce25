"""Cohorts: assessments with follow-up scores, read from files with every problem at once."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from features.base.arrays import Numbers, Texts
from features.base.errors import CohortError, Problem, join_problems
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import Field, Kind
from features.intake.account import FOOTER, Account, count_file
from features.intake.assemble import assemble
from features.intake.exports import Paths, list_paths
from features.intake.followups import list_column_fields
from features.intake.names import check_names
from features.records.arrow import parse_arrow
from features.records.columns import Columns, concatenate_columns
from features.records.followups import total_followups
from features.records.mapping import Mapper, name_shared
from features.records.parsing import Parsed
from features.records.rules import is_without_baseline, validate
from features.records.short_forms import ShortForms
from features.sources.raw_table import RawTable
from features.sources.tables import open_table

_UNNAMED = 'has no name: name it, leave it out, or ignore it in a mapping (`ignore = [""]`)'
_FIRST_UNNAMED = (
    "the first column has no name (R and pandas write row names so): leave it out, or in a mapping "
    'rename it (`"" = "patient_id"`) or ignore it (`ignore = [""]`)'
)
# Rules that numbers and dates break if they are written in another way than expected.
_HINTED = {"type", "date"}


@dataclass(frozen=True)
class Batch:
    """Some rows of a cohort, and what is wrong with them."""

    # Position among the rows read, counted from 1.
    first_row: int
    columns: Columns
    problems: list[Problem]
    # Positions of the rows that have a problem.
    wrong: frozenset[int] = frozenset()
    # By horizon, the items and totals of follow-ups that came by items.
    followups: Mapping[str, Columns] = field(default_factory=dict)


class OpenCohort(NamedTuple):
    """An open cohort: a table, what of the mapping is still to be done, and the account so far."""

    table: RawTable
    mapper: Mapper
    # None of a file that already is one row per course: its rows are counted as they are read.
    account: Account | None


def open_cohort(
    paths: Paths,
    mapper: Mapper,
    ignore_unknown: bool = False,
    dictionary: Dictionary | None = None,
) -> OpenCohort:
    """Open a cohort: a file as it is, or the tables of a mapping joined to one row per course."""
    exports = list_paths(paths, mapper)
    if mapper.is_plain and len(exports) == 1:
        return OpenCohort(open_table(exports[0], mapper), mapper, None)
    assembled = assemble(exports, mapper, dictionary or load_dictionary(), ignore_unknown)
    return OpenCohort(assembled.table, mapper.skip_intake(), assembled.account)


def read_intake(
    paths: Paths,
    mapper: Mapper | None = None,
    ignore_unknown: bool = False,
    dictionary: Dictionary | None = None,
    incomplete: bool = False,
) -> tuple[Columns, Account]:
    """Read a cohort as :func:`read_cohort` does; also return the account of what was read."""
    table, rest, account = open_cohort(paths, mapper or Mapper(), ignore_unknown, dictionary)
    columns = collect_cohort(table, rest, ignore_unknown, dictionary, incomplete)
    if account is None:
        account = count_file(table.source, columns.size, len({*columns.get_texts("patient_id")}))
        account = account.add_note("", "rows", FOOTER, rest.footer_rows)
    scales = columns.dictionary.instruments
    unmeasured = np.logical_and.reduce([columns.find_missing(key) for key in scales])
    what = "courses without any baseline total"
    return columns, account.add_note("", "baseline", what, int(unmeasured.sum()))


def read_cohort(
    paths: Paths,
    mapper: Mapper | None = None,
    ignore_unknown: bool = False,
    dictionary: Dictionary | None = None,
    incomplete: bool = False,
) -> Columns:
    """Read a cohort of which every row is valid.

    Parameters
    ----------
    paths
        A file, a folder, or the exports that the mapping joins.
    ignore_unknown
        Whether columns that are not fields are left out instead of refused.
    incomplete
        Whether rows without any baseline total are read, to be counted, instead of refused.

    Raises
    ------
    CohortError
        If the file cannot be read or any row breaks a rule; lists every problem of every row.
    """
    return read_intake(paths, mapper, ignore_unknown, dictionary, incomplete)[0]


def collect_cohort(
    table: RawTable,
    mapper: Mapper,
    ignore_unknown: bool = False,
    dictionary: Dictionary | None = None,
    incomplete: bool = False,
) -> Columns:
    """Read an open table of which every row is valid; see :func:`read_cohort`."""
    batches = list(read_batches(table, mapper, ignore_unknown, dictionary))
    problems = join_problems(problem for batch in batches for problem in batch.problems)
    if incomplete:
        problems = [problem for problem in problems if not is_without_baseline(problem)]
    columns = concatenate_columns([batch.columns for batch in batches])
    forms = ShortForms()
    forms.add(columns)
    for batch in batches:
        forms.add_followups(batch.followups)
    problems += forms.explain_short()
    if not columns.size:
        problems.append(Problem("file", "empty", "must have at least one row"))
    problems += _renumber(table, find_duplicates(columns)) + table.list_ragged()
    if problems:
        raise CohortError(problems, source=table.source)
    return columns


def read_batches(
    table: RawTable,
    mapper: Mapper,
    ignore_unknown: bool = False,
    dictionary: Dictionary | None = None,
) -> Iterator[Batch]:
    """Read an open table batch by batch; see :func:`read_cohort`.

    Raises
    ------
    CohortError
        If a column may not come in; problems of rows are left to the caller.
    """
    known = dictionary or load_dictionary()
    fields = list_column_fields(known)
    names = _choose_columns(table, mapper, ignore_unknown, known)
    codes = {ours: mapper.get_codes(fields[ours]) for ours in names.values()}
    first_row = 1
    for batch in table.batches:
        parsed: dict[str, Parsed] = {}
        hints: dict[str, str] = {}
        for theirs, ours in names.items():
            convert = mapper.get_conversion(fields[ours])
            parsed[ours] = parse_arrow(fields[ours], batch.column(theirs), convert, codes[ours])
            if parsed[ours].broken.keys() & _HINTED:
                hints[ours] = mapper.suggest_keys(batch.column(theirs))
        for name, array in mapper.list_constants(batch.num_rows).items():
            parsed[name] = parse_arrow(fields[name], array, mapper.get_conversion(fields[name]))
        totals = total_followups(batch.num_rows, parsed, known, first_row)
        columns, problems = validate(batch.num_rows, totals.parsed, known, first_row)
        columns = columns.mark_prorated({**columns.prorated, **totals.prorated})
        problems = _add_hints([*problems, *totals.problems], hints)
        wrong = frozenset(chain.from_iterable(problem.rows for problem in problems))
        located = _renumber(table, problems)
        yield Batch(first_row, columns, located, wrong, totals.columns)
        first_row += batch.num_rows


def _renumber(table: RawTable, problems: list[Problem]) -> list[Problem]:
    return [located for problem in problems for located in table.locate_problem(problem)]


def _add_hints(problems: list[Problem], hints: Mapping[str, str]) -> list[Problem]:
    return [
        replace(problem, message=problem.message + hints.get(problem.field, ""))
        if problem.rule in _HINTED
        else problem
        for problem in problems
    ]


# Direct identifiers are refused even if they would be ignored: they must not reach this machine.
def _choose_columns(
    table: RawTable, mapper: Mapper, ignore_unknown: bool, dictionary: Dictionary
) -> dict[str, str]:
    ignored_names = {*mapper.ignore}
    renamed = {
        name: mapper.rename.get(name, name) for name in table.names if name not in ignored_names
    }
    known = list_column_fields(dictionary)
    problems = check_names(filter(None, renamed.values()), dictionary, known)
    if renamed.get("") == "":
        problems += _check_unnamed(table)
    ignored = check_names(mapper.ignore, dictionary, known)
    problems += [problem for problem in ignored if problem.rule == "identifier"]
    # Ignored columns may have any name but that of an identifier.
    if ignore_unknown:
        problems = [problem for problem in problems if problem.rule == "identifier"]
    problems += _check_mapped(table, mapper, list(renamed.values()), known)
    problems += _check_doubled(table, mapper, list(renamed.values()))
    problems += _check_types(table, renamed, known)
    if problems:
        raise CohortError(problems, source=table.source)
    return {theirs: ours for theirs, ours in renamed.items() if ours in known}


def _check_unnamed(table: RawTable) -> Iterator[Problem]:
    for number, name in enumerate(table.names, 1):
        if not name:
            message = _FIRST_UNNAMED if number == 1 else _UNNAMED
            yield Problem(f"column {number}", "unknown", message)


def _check_mapped(
    table: RawTable, mapper: Mapper, ours: list[str], known: Mapping[str, Field]
) -> Iterator[Problem]:
    names = {*table.names}
    for name in mapper.rename:
        if name not in names:
            yield Problem(name, "missing_column", "the mapping renames it, but no column has it")
    # An item's words are also those of its follow-ups.
    fields = [known[name] for name in ours if name in known]
    shared = {field.name for field in fields} | {name_shared(field) for field in fields}
    for name in mapper.values:
        if name not in ours and name not in shared:
            message = "the mapping has values for this field, but no column becomes it"
            yield Problem(f"values.{name}", "missing_column", message)
    for name in mapper.units:
        if name not in ours and name not in mapper.constants:
            message = "the mapping has a unit for this field, but no column becomes it"
            yield Problem(f"units.{name}", "missing_column", message)


def _check_doubled(table: RawTable, mapper: Mapper, ours: list[str]) -> Iterator[Problem]:
    for name in sorted(name for name, count in Counter(ours).items() if count > 1):
        yield Problem(name, "duplicate_column", "two columns become this field")
    if "" in mapper.rename and table.names.count("") > 1:
        yield Problem("", "duplicate_column", "more than one column has no name")
    for name in mapper.constants:
        if name in ours:
            yield Problem(name, "duplicate_column", "both a constant and a column give this field")


def _check_types(
    table: RawTable, renamed: Mapping[str, str], known: Mapping[str, Field]
) -> Iterator[Problem]:
    for theirs, ours in renamed.items():
        if ours in known and theirs in table.unreadable:
            kind = table.unreadable[theirs]
            message = f"must be {known[ours].allowed}; the column's type is {kind}"
            yield Problem(ours, "type", message)


def list_courses(columns: Columns) -> list[tuple[str | None, float]]:
    """List each row's patient and course; a missing course number is the first."""
    courses = columns.get_numbers("course")
    numbers = np.where(np.isnan(courses), 1.0, courses)
    return list(zip(columns.get_texts("patient_id").tolist(), numbers.tolist(), strict=True))


def find_duplicates(columns: Columns) -> list[Problem]:
    """Find rows that repeat a patient's course."""
    seen: set[tuple[str | None, float]] = set()
    repeated = []
    for row, key in enumerate(list_courses(columns), 1):
        if key in seen and key[0] is not None:
            repeated.append(row)
        seen.add(key)
    message = "duplicate patient and course; number repeat courses in `course`"
    return [Problem("patient_id", "duplicate", message, tuple(repeated))] if repeated else []


def digest_cohort(columns: Columns) -> str:
    """Compute the SHA-256 of a cohort's content.

    It does not depend on the order of rows and columns, on the file's format or on empty columns.
    """
    keys = list_courses(columns)
    order = np.array(sorted(range(columns.size), key=lambda row: (str(keys[row][0]), keys[row][1])))
    digest, fields = hashlib.sha256(), columns.dictionary.cohort_fields
    for name in sorted(columns.list_recorded()):
        digest.update(name.encode())
        encode = _encode_texts if fields[name].kind is Kind.TEXT else _encode_numbers
        digest.update(encode(columns.values[name][order]))
    return digest.hexdigest()


def _encode_texts(texts: Texts) -> bytes:
    # A text can neither hold this separator nor be empty.
    return "\0".join("" if text is None else text for text in texts).encode()


def _encode_numbers(numbers: Numbers) -> bytes:
    # One bit pattern for every missing value, and 0 for -0.
    return np.where(np.isnan(numbers), np.nan, numbers + 0.0).astype("<f8").tobytes()
