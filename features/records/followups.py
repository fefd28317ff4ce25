"""Follow-ups by items: totalled, pro-rated and checked as at baseline."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from features.base.arrays import Flags
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.intake.followups import list_column_fields, list_followup_items
from features.records.columns import Columns
from features.records.parsing import Parsed
from features.records.rules import check_totals, list_broken
from features.records.scoring import derive_totals, list_scored


class FollowupTotals(NamedTuple):
    """Follow-up totals of a batch, derived from its items."""

    # Every column of the batch that is a field, follow-up totals filled.
    parsed: dict[str, Parsed]
    # By follow-up field, the totals that were pro-rated.
    prorated: dict[str, Flags]
    # By horizon, the items and totals under their names at baseline.
    columns: dict[str, Columns]
    problems: list[Problem]


def total_followups(
    size: int, parsed: Mapping[str, Parsed], dictionary: Dictionary, first_row: int
) -> FollowupTotals:
    """Total the items at each horizon, and leave them out of what was parsed."""
    items = list_followup_items(dictionary)
    others = {name: values for name, values in parsed.items() if name not in items}
    itemised = {name: values for name, values in parsed.items() if name in items}
    problems = [*list_broken(itemised, list_column_fields(dictionary), first_row)]
    totals = FollowupTotals(others, {}, {}, problems)
    horizons: dict[str, dict[str, Parsed]] = {}
    for name, values in itemised.items():
        horizons.setdefault(items[name].horizon, {})[items[name].field.name] = values
    for horizon, answers in horizons.items():
        _total_horizon(size, totals, answers, horizon, dictionary, first_row)
    return totals


def _total_horizon(
    size: int,
    totals: FollowupTotals,
    items: Mapping[str, Parsed],
    horizon: str,
    dictionary: Dictionary,
    first_row: int,
) -> None:
    values = {name: column.values for name, column in items.items()}
    for key in dictionary.instruments:
        if (followup := f"{key}_{horizon}") in totals.parsed:
            values[key] = totals.parsed[followup].values
    columns = Columns(size, values, dictionary=dictionary)
    scored = list_scored(columns)
    columns = derive_totals(columns, scored)
    totals.columns[horizon] = columns
    for score in scored:
        key = score.scoring.instrument.key
        followup = f"{key}_{horizon}"
        if followup not in dictionary.cohort_fields:
            continue
        total = totals.parsed.get(followup)
        broken = total.broken if total is not None else {}
        totals.parsed[followup] = Parsed(columns.get_numbers(key), broken)
        if key in columns.prorated:
            totals.prorated[followup] = columns.prorated[key]
    totals.problems.extend(
        replace(problem, field=f"{problem.field}_{horizon}")
        for problem in check_totals(columns, scored, first_row)
    )
