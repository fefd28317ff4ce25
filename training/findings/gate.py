"""The gate: what validation must have shown before clinicians see a model's estimates.

Pure: findings and bounds in, one verdict per criterion out.
"""

from collections.abc import Iterable, Sequence

from training.candidates.registry import BASE_RATE
from training.findings.criteria import RULES
from training.findings.findings import Criterion, Findings
from training.findings.format import format_bounds, format_number, format_table
from training.findings.rule import Case, Standing, judge_rule, waive_criterion
from training.study.parts import GatePart

_BASE_RATE_EXEMPT = "the base rate does not discriminate and may always be champion"
_AT_DEVELOPMENT = "measured by the study that developed the model"


def judge(findings: Findings, bounds: GatePart) -> tuple[Criterion, ...]:
    """Judge findings by every criterion, against the champion they were compared with.

    A criterion that applies and could not be measured has failed. The base rate may always be
    champion: nothing applies to it.
    """
    champion = findings.champion
    standing = None if champion is None else Standing(champion.version, champion.candidate)
    return judge_with_champion(findings, bounds, standing)


def judge_with_champion(
    findings: Findings, bounds: GatePart, champion: Standing | None
) -> tuple[Criterion, ...]:
    """Judge findings by every criterion, against the champion as it is now.

    Parameters
    ----------
    champion
        None if there is none.
    """
    case = Case(findings, bounds, champion)
    criteria = {rule: judge_rule(rule, case) for rule in RULES}
    # If no model helps, the service must still be able to give the base rate.
    if findings.card.candidate == BASE_RATE:
        return tuple(waive_criterion(c, _BASE_RATE_EXEMPT) for c in criteria.values())
    if findings.purpose == "external":
        return tuple(
            waive_criterion(criterion, _AT_DEVELOPMENT) if rule.development_only else criterion
            for rule, criterion in criteria.items()
        )
    return tuple(criteria.values())


def passes(criteria: Iterable[Criterion]) -> bool:
    """Return whether every criterion that applies is met."""
    return not list_failed(criteria)


def list_failed(criteria: Iterable[Criterion]) -> list[str]:
    """Name the criteria that are not met."""
    return [criterion.name for criterion in criteria if criterion.passed is False]


def format_gate(criteria: Sequence[Criterion]) -> str:
    """Format the criteria as a table with their figures, and why any is not met."""
    rows = [["Criterion", "Required", "Found", "Verdict"]]
    for criterion in criteria:
        required = format_bounds(criterion.low, criterion.high)
        figure = format_number(criterion.value)
        rows.append([criterion.name, required, figure, _name_verdict(criterion)])
    waived = _list_reasons(criteria, None)
    lines = ["Do not apply:", *waived, ""] if waived else []
    failed = _list_reasons(criteria, False)
    applied = sum(criterion.passed is not None for criterion in criteria)
    if failed:
        lines += [f"{len(list_failed(criteria))} of {applied} are not met:", *failed]
    else:
        lines.append("Every criterion that applies is met." if applied else "No criterion applies.")
    return "\n".join([format_table(rows), "", *lines])


# A reason that several criteria share is given once.
def _list_reasons(criteria: Iterable[Criterion], passed: bool | None) -> list[str]:
    names: dict[str, list[str]] = {}
    for criterion in criteria:
        if criterion.passed is passed:
            names.setdefault(criterion.because, []).append(criterion.name)
    return [f"  {', '.join(shared)}: {reason}" for reason, shared in names.items()]


def _name_verdict(criterion: Criterion) -> str:
    if criterion.passed is None:
        return "does not apply"
    return "passed" if criterion.passed else "FAILED"
