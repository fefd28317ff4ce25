"""The gate: what must have been found of a model before clinicians may see its estimates.

Pure: findings and bounds in, one verdict per criterion out.
"""

from collections.abc import Callable, Iterable, Sequence

from training.findings.comparison import BASE_RATE
from training.findings.criteria import (
    Standing,
    judge_base_rate,
    judge_benefit,
    judge_champion,
    judge_courses,
    judge_events,
    judge_instability,
    judge_leakage,
    judge_ratio,
    judge_redevelopments,
    judge_slope,
    judge_subgroups,
    waive,
)
from training.findings.findings import Criterion, Findings
from training.findings.format import format_bounds, format_number, format_table
from training.study.parts import GatePart

# Said of the study that fitted the model, not of a cohort that it met later.
OF_DEVELOPMENT = ("base_rate", "instability", "redevelopments", "champion")
RANKS_NOBODY = "the base rate ranks nobody and may always be champion"
TESTS: tuple[Callable[[Findings, GatePart], Criterion], ...] = (
    judge_base_rate,
    judge_slope,
    judge_ratio,
    judge_benefit,
    judge_instability,
    judge_redevelopments,
    judge_courses,
    judge_events,
    judge_subgroups,
    judge_leakage,
)


def judge(findings: Findings, bounds: GatePart) -> tuple[Criterion, ...]:
    """Judge findings by every criterion, against the champion that they were compared with.

    What applies and could not be measured has failed. The base rate may always be champion:
    nothing applies to it.
    """
    facts = findings.champion
    present = None if facts is None else Standing(facts.version, facts.candidate)
    return judge_against(findings, bounds, present)


def judge_against(
    findings: Findings, bounds: GatePart, present: Standing | None
) -> tuple[Criterion, ...]:
    """Judge findings by every criterion, against the champion as it is now.

    Parameters
    ----------
    present
        None where there is no champion.
    """
    criteria = [test(findings, bounds) for test in TESTS]
    criteria.append(judge_champion(findings, present))
    if findings.card.candidate == BASE_RATE:
        return tuple(waive(one, RANKS_NOBODY) for one in criteria)
    if findings.purpose == "external":
        told = "told by the study that fitted the model"
        return tuple(waive(one, told) if one.name in OF_DEVELOPMENT else one for one in criteria)
    return tuple(criteria)


def passes(criteria: Iterable[Criterion]) -> bool:
    """Tell whether every criterion that applies is met."""
    return not list_failed(criteria)


def list_failed(criteria: Iterable[Criterion]) -> list[str]:
    """Name the criteria that are not met."""
    return [one.name for one in criteria if one.passed is False]


def describe_gate(criteria: Sequence[Criterion]) -> str:
    """Describe every criterion with its number as a table, and why any is not met."""
    rows = [["criterion", "asked", "found", "verdict"]]
    for one in criteria:
        asked = format_bounds(one.low, one.high)
        rows.append([one.name, asked, format_number(one.value), name_verdict(one)])
    reasons = [f"{one.name}: {one.because}" for one in criteria if one.passed is False]
    if not reasons:
        return f"{format_table(rows)}\n\nEvery criterion that applies is met."
    failed = f"{len(reasons)} of {sum(one.passed is not None for one in criteria)} are not met:"
    return "\n".join([format_table(rows), "", failed, *(f"  {reason}" for reason in reasons)])


def name_verdict(criterion: Criterion) -> str:
    """Name the verdict on one criterion."""
    if criterion.passed is None:
        return "does not apply"
    return "passed" if criterion.passed else "FAILED"
