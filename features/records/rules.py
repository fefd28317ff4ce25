"""Rules: the one place where every rule is applied, from parsed fields to validated columns.

Columns at once, so that one patient and a million pass through the same lines.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from features.base.arrays import Flags
from features.base.errors import Problem
from features.dictionary.additions import Agent
from features.dictionary.dictionary import DOSES, Dictionary
from features.dictionary.field import Field
from features.records.columns import Columns
from features.records.parsing import Parsed
from features.records.scoring import Scored, derive_totals, list_scored

# Milligrams in one, two and three devices of the nasal spray.
ESKETAMINE_DOSES = (28.0, 56.0, 84.0)
# Stands for the baseline totals of all instruments, of which a row needs one.
_BASELINE = "baseline_score"


def validate(
    size: int, parsed: Mapping[str, Parsed], dictionary: Dictionary, first_row: int = 1
) -> tuple[Columns, list[Problem]]:
    """Build columns of `size` rows from parsed fields; see :func:`check_columns`."""
    values = {name: field.values for name, field in parsed.items()}
    columns = Columns(size, values, dictionary=dictionary)
    return check_columns(columns, parsed, first_row)


def check_columns(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int = 1
) -> tuple[Columns, list[Problem]]:
    """Derive totals that are missing from their items, and find every problem.

    Parameters
    ----------
    parsed
        At least the fields in which some value broke a rule of its own.
    first_row
        Number of the first row, for the problems.
    """
    scored = list_scored(columns)
    columns = derive_totals(columns, scored)
    problems = [
        *list_broken(parsed, columns.dictionary.cohort_fields, first_row),
        *_check_required(columns, parsed, first_row),
        *_check_scores(columns, parsed, first_row),
        *check_totals(columns, scored, first_row),
        *_check_multiples(columns, first_row),
        *_check_regimen(columns, first_row),
        *_check_routes(columns, first_row),
        *_check_doses(columns, first_row),
        *_check_order(columns, first_row),
    ]
    return columns, problems


def list_broken(
    parsed: Mapping[str, Parsed], fields: Mapping[str, Field], first_row: int
) -> Iterator[Problem]:
    """List the rules of their own fields that values break."""
    for name, values in parsed.items():
        for rule, mask in values.broken.items():
            message = f"must be {fields[name].allowed}"
            yield Problem(name, rule, message, _find_rows(mask, first_row))


def _check_required(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    for name in columns.dictionary.required:
        missing = columns.find_missing(name)
        # Only then are the broken values looked up, since most rows have every required field.
        if np.count_nonzero(missing):
            missing &= ~_find_broken(columns.size, parsed, (name,))
        if np.count_nonzero(missing):
            message = f"is required: {columns.dictionary.fields[name].allowed}"
            yield Problem(name, "required", message, _find_rows(missing, first_row))


def is_without_baseline(problem: Problem) -> bool:
    """Return whether a row is refused only because it has no baseline total."""
    return (problem.field, problem.rule) == (_BASELINE, "required")


# A total that was tried is already a problem, and is not reported twice.
def _check_scores(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    missing = np.ones(columns.size, dtype=bool)
    known = columns.dictionary.instruments
    for key in known:
        if key in columns.values:
            missing &= np.isnan(columns.values[key])
            if not np.count_nonzero(missing):
                return
    missing &= ~_find_broken(columns.size, parsed, columns.dictionary.score_names)
    if missing.any():
        message = f"at least one baseline total (or its items): {', '.join(known)}"
        yield Problem(_BASELINE, "required", message, _find_rows(missing, first_row))


def check_totals(columns: Columns, scored: Sequence[Scored], first_row: int) -> Iterator[Problem]:
    """Find totals that contradict their items."""
    for score in scored:
        fields, key = score.scoring.fields, score.scoring.instrument.key
        total = columns.get_numbers(key)
        wrong = (total < score.lowest) | (total > score.highest)
        if np.count_nonzero(wrong):
            message = f"disagrees with its items {fields[0]} … {fields[-1]}{_mention_factor(score)}"
            yield Problem(key, "total", message, _find_rows(wrong, first_row))
        # A form that sums what was answered gives such a total: it takes blank items for 0.
        summed = score.is_short & (total == score.lowest)
        if np.count_nonzero(summed):
            yield Problem(key, "total", _explain_sum(score), _find_rows(summed, first_row))


def _check_multiples(columns: Columns, first_row: int) -> Iterator[Problem]:
    for field in columns.dictionary.multiples:
        times = columns.dictionary.instruments[field.instrument or ""].multiplier
        # Half of the total, as summed from the items, would pass for a low one.
        odd = columns.get_numbers(field.name) % times > 0
        if np.count_nonzero(odd):
            message = f"must be a multiple of {times}: the sum of the items times {times}"
            yield Problem(field.name, "multiple", message, _find_rows(odd, first_row))


def _mention_factor(score: Scored) -> str:
    times = score.scoring.instrument.multiplier
    return f", whose sum is multiplied by {times}" if times > 1 else ""


def _explain_sum(score: Scored) -> str:
    instrument, fields = score.scoring.instrument, score.scoring.fields
    factor = f"{instrument.multiplier} times " if instrument.multiplier > 1 else ""
    return (
        f"is {factor}the sum of those of {fields[0]} … {fields[-1]} that are answered, with blank "
        f"ones counted as 0; more than {instrument.missing_items_allowed} are blank, so that "
        "there is no total: leave it out, or answer the items"
    )


def _check_regimen(columns: Columns, first_row: int) -> Iterator[Problem]:
    if "dose_mg" not in columns.values:
        return
    by_weight, fixed = columns.get_numbers("dose_mg_kg"), columns.get_numbers("dose_mg")
    twice = ~np.isnan(by_weight) & ~np.isnan(fixed)
    if twice.any():
        message = "give dose_mg_kg or dose_mg, not both"
        yield Problem("dose_mg", "one_dose", message, _find_rows(twice, first_row))
    spray = _is_category(columns, "agent", "esketamine")
    spray &= _is_category(columns, "route", "intranasal") & ~np.isnan(fixed)
    odd = spray & ~np.isin(fixed, ESKETAMINE_DOSES)
    if odd.any():
        message = "intranasal esketamine is given as 28, 56 or 84 mg"
        yield Problem("dose_mg", "dose", message, _find_rows(odd, first_row))


def _check_doses(columns: Columns, first_row: int) -> Iterator[Problem]:
    for name, limits in columns.dictionary.dose_limits.items():
        agents, dose = columns.get_numbers("agent"), columns.get_numbers(name)
        low, high = (np.full(columns.size, float(end)) for end in limits[None])
        for position, ends in limits.items():
            if position is not None:
                low[agents == position], high[agents == position] = ends
        wrong = (dose < low) | (dose > high)
        if np.count_nonzero(wrong):
            unit = columns.dictionary.fields[name].unit
            lowest, highest = limits[None]
            message = f"must be from {lowest:g} to {highest:g} {unit}, or what its agent states"
            yield Problem(name, "range", message, _find_rows(wrong, first_row))


def _check_routes(columns: Columns, first_row: int) -> Iterator[Problem]:
    routes = columns.dictionary.fields["route"].categories
    for position, agent in columns.dictionary.agent_positions.items():
        treated = columns.get_numbers("agent") == position
        if agent.routes is not None and np.count_nonzero(treated):
            route = columns.get_numbers("route")
            positions = [routes.index(name) for name in agent.routes]
            wrong = treated & ~np.isnan(route) & ~np.isin(route, positions)
            if wrong.any():
                known = ", ".join(agent.routes)
                message = (
                    f"{agent.label} is given by: {known}"
                    if known
                    else f"{agent.label} has no route: leave it out"
                )
                yield Problem("route", "agent", message, _find_rows(wrong, first_row))
            yield from _check_undosed(columns, agent, treated, first_row)


def _check_undosed(
    columns: Columns, agent: Agent, treated: Flags, first_row: int
) -> Iterator[Problem]:
    for name in () if agent.is_drug else DOSES:
        dosed = treated & ~columns.find_missing(name)
        if dosed.any():
            message = f"{agent.label} has no dose: leave it out"
            yield Problem(name, "agent", message, _find_rows(dosed, first_row))


def _check_order(columns: Columns, first_row: int) -> Iterator[Problem]:
    for low, high in (("onset_age", "age"), ("diastolic", "systolic")):
        if low not in columns.values or high not in columns.values:
            continue
        wrong = columns.values[low] > columns.values[high]
        if np.count_nonzero(wrong):
            message = f"cannot be above {high}"
            yield Problem(low, "order", message, _find_rows(wrong, first_row))


def _find_rows(mask: Flags, first_row: int) -> tuple[int, ...]:
    return tuple((np.flatnonzero(mask) + first_row).tolist())


def _find_broken(size: int, parsed: Mapping[str, Parsed], names: Sequence[str]) -> Flags:
    broken = np.zeros(size, dtype=bool)
    for name in names:
        if name in parsed:
            for mask in parsed[name].broken.values():
                broken |= mask
    return broken


def _is_category(columns: Columns, name: str, category: str) -> Flags:
    position = columns.dictionary.fields[name].categories.index(category)
    matches: Flags = columns.get_numbers(name) == position
    return matches
