"""From the courses read to those analysed: how many were excluded, and why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from features.base.arrays import Numbers
from features.dictionary.outcome import Outcome
from features.intake.account import Account, Part
from features.records.columns import Columns
from training.findings.findings import Flow, TableFlow
from training.study.conditions import CONDITION_KEY, REASONS, Exclusion
from training.study.courses import count_settled, count_unmeasured
from training.study.design import Design

# Conditions describe patients: one that excludes fewer courses could identify them.
_MIN_NAMED = 5
_FEW = Exclusion(f"{CONDITION_KEY}.few", "Other conditions of the study, few courses each", 0)


def describe_development_flow(design: Design) -> Flow:
    """Describe the flow of a study's courses."""
    excluded, enrolled = sum(row.courses for row in design.excluded), design.enrolled or design
    counts = {
        "baseline": count_unmeasured(design.target, design.courses),
        "no_change": count_settled(design.target, design.courses),
        # Before the first outcome is known, courses that await theirs are analysed.
        "awaiting": enrolled.size - design.described.size,
    }
    flow = describe_flow(
        excluded + design.courses.size,
        [*design.excluded, *list_reasons(counts, design.target)],
        design.described.columns,
        design.outcome if design.size else None,
    )
    return add_intake(flow, design.account)


def add_intake(flow: Flow, account: Account | None) -> Flow:
    """Add what was left aside when the cohort was made of a clinic's exports."""
    if account is None or account.is_plain:
        return flow
    excluded = list_aside(account.courses)
    return flow.model_copy(
        update={
            "tables": tuple(
                TableFlow(
                    table=entry.table,
                    read=entry.rows.read,
                    used=entry.rows.used,
                    excluded=list_aside(entry.rows),
                )
                for entry in account.tables
            ),
            "patients_excluded": list_aside(account.patients),
            "read": flow.read + sum(row.courses for row in excluded),
            "excluded": (*excluded, *flow.excluded),
        }
    )


def list_aside(part: Part) -> tuple[Exclusion, ...]:
    """List what an intake left aside, by step and reason."""
    return tuple(
        Exclusion(f"intake.{entry.step}", entry.describe(), entry.count) for entry in part.aside
    )


def list_reasons(counts: Mapping[str, int], target: Outcome) -> Iterator[Exclusion]:
    """List exclusions by the keys of `REASONS`."""
    for key, courses in counts.items():
        reason = REASONS[key].format(target.instrument.name)
        yield Exclusion(key, reason[:1].upper() + reason[1:], courses)


def describe_flow(
    read: int, excluded: Iterable[Exclusion], analysed: Columns, outcome: Numbers | None
) -> Flow:
    """Describe the flow of courses.

    Parameters
    ----------
    excluded
        Reasons without any course are left out.
    outcome
        Of the courses analysed; None if it is not known yet.
    """
    events = None if outcome is None else int(outcome.sum())
    return Flow(
        read=read,
        excluded=tuple(merge_few(row for row in excluded if row.courses)),
        analysed=analysed.size,
        events=events,
        non_events=None if events is None else analysed.size - events,
        patients=analysed.count_texts("patient_id"),
        sites=analysed.count_texts("site") or None,
    )


def merge_few(excluded: Iterable[Exclusion]) -> Iterator[Exclusion]:
    """Merge conditions that exclude few courses into one, so that none of them is named.

    Examples
    --------
    >>> rows = [Exclusion("where.age", "Age: below 18", 2), Exclusion("baseline", "No PHQ-9", 1)]
    >>> [(row.key, row.courses) for row in merge_few(rows)]
    [('baseline', 1), ('where.few', 2)]
    """
    few = 0
    for row in excluded:
        if row.key.startswith(CONDITION_KEY) and row.courses < _MIN_NAMED:
            few += row.courses
        else:
            yield row
    if few:
        yield replace(_FEW, courses=few)
