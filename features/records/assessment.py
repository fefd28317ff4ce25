"""Assessments: what is known of a patient before the first dose, from JSON to columns.

Once treatment has begun, they may hold early scores too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, create_model
from pydantic import Field as Constraint

from features.base.errors import AssessmentError, Problem
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import DATE_PATTERN, DATES_ALLOWED, TEXT_PATTERN, Field, Kind
from features.intake.names import check_names
from features.records.columns import Columns
from features.records.parsing import JSON_READERS, Reader, RuleBroken, count_days
from features.records.reading import read_columns
from features.records.rules import check_columns

JsonRow = dict[str, Any]
# Unknown names explained per row: each takes some time, and a client may send a hundred thousand.
MAX_NAMED = 16


def _make_constraint(field: Field) -> Any:
    facts: dict[str, Any] = {"title": field.label}
    if description := " · ".join(part for part in (field.help, field.unit) if part):
        facts["description"] = description
    limits: dict[str, Any] = {
        "ge": field.low,
        "le": field.high,
        "strict": True,
        "allow_inf_nan": False,
    }
    match field.kind:
        case Kind.NUMBER:
            return Annotated[float, Constraint(**limits, **facts)]
        case Kind.INTEGER:
            whole = Constraint(json_schema_extra={"multipleOf": 1}, **limits, **facts)
            return Annotated[float, whole, AfterValidator(_check_whole)]
        case Kind.FLAG:
            return Annotated[bool, Constraint(strict=True, **facts)]
        case Kind.CATEGORY:
            return Annotated[Literal[field.categories], Constraint(**facts)]
        case Kind.TEXT:
            return Annotated[str, Constraint(pattern=TEXT_PATTERN, strict=True, **facts)]
        case Kind.DATE:
            day = Constraint(pattern=DATE_PATTERN, strict=True, **facts)
            return Annotated[str, day, AfterValidator(_check_date)]


# pydantic's own check lets tiny fractions pass.
def _check_whole(value: float) -> float:
    if not value.is_integer():
        raise ValueError("must be a whole number")
    return value


def _check_date(value: str) -> str:
    try:
        count_days(value)
    except RuleBroken:
        raise ValueError(DATES_ALLOWED) from None
    return value


@lru_cache(maxsize=8)
def make_assessment_model(dictionary: Dictionary) -> type[BaseModel]:
    """Build the pydantic model of one validated assessment.

    Its JSON schema is the one that the service publishes. Rules between fields are not a schema's
    business: :func:`read_assessments` applies them.
    """
    annotations: dict[str, Any] = {
        field.name: (
            _make_constraint(field) if field.required else _make_constraint(field) | None,
            ... if field.required else None,
        )
        for field in dictionary.fields.values()
    }
    config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    return create_model(
        "Assessment",
        __config__=config,
        __doc__="All that is known of one patient before the first dose, the regimen included; "
        "and scores since then, which only an estimate made again reads.",
        **annotations,
    )


def parse_rows(
    rows: Sequence[JsonRow],
    readers: Mapping[Kind, Reader] = JSON_READERS,
    dictionary: Dictionary | None = None,
) -> tuple[Columns, list[Problem]]:
    """Read assessments given as JSON objects; null is missing.

    Parameters
    ----------
    readers
        How values are read; those for texts take what a web form sends.

    Returns
    -------
    Columns
        One entry per row.
    list of Problem
        Every problem of every row, with row numbers counted from 1.

    Examples
    --------
    >>> columns, problems = parse_rows([{"patient_id": "a", "condition": "depression", "phq9": 99}])
    >>> print(problems[0])
    phq9 (range), row 1: must be a whole number from 0 to 27 points
    """
    known, strange = dictionary or load_dictionary(), []
    if not known.names.issuperset(set[str]().union(*rows)):
        strange = _locate_strange(rows, known)
        # An unknown name would take memory in every other row.
        rows = [{name: row[name] for name in row if name in known.names} for row in rows]
    columns, broken = read_columns(len(rows), _list_values(rows), known, readers)
    columns, problems = check_columns(columns, broken)
    return columns, strange + problems


# None if a row lacks a name that any other has.
def _list_values(rows: Sequence[JsonRow]) -> dict[str, Sequence[Any]]:
    names: JsonRow = {}
    for row in rows:
        names |= row
    blank = dict.fromkeys(names)
    filled = [tuple((blank | row).values()) for row in rows]
    return dict(zip(blank, zip(*filled, strict=True), strict=True))


# Only the first of a row with very many are named, whatever its neighbours have.
def _locate_strange(rows: Sequence[JsonRow], dictionary: Dictionary) -> list[Problem]:
    having: dict[str, list[int]] = {}
    crowded = []
    for number, row in enumerate(rows, 1):
        strange = [name for name in row if name not in dictionary.names]
        for name in strange[:MAX_NAMED]:
            having.setdefault(name, []).append(number)
        if len(strange) > MAX_NAMED:
            crowded.append(number)
    problems = check_names(having, dictionary)
    located = [
        replace(problem, rows=tuple(numbers))
        for problem, numbers in zip(problems, having.values(), strict=True)
    ]
    if crowded:
        message = f"has more than {MAX_NAMED} unknown names"
        located.append(Problem("assessment", "unknown", message, tuple(crowded)))
    return located


def read_assessments(rows: Sequence[JsonRow], dictionary: Dictionary | None = None) -> Columns:
    """Read assessments given as JSON objects; `AssessmentError` lists every problem of any."""
    columns, problems = parse_rows(rows, dictionary=dictionary)
    if problems:
        raise AssessmentError(problems, source="assessment")
    return columns
