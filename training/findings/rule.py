"""A rule of the gate: one figure, its bounds, and the criterion that comes of judging them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from training.findings.findings import Criterion, Findings
from training.study.parts import GatePart


class Standing(NamedTuple):
    """The current champion: its version, and the name of its candidate."""

    version: str
    candidate: str


class Case(NamedTuple):
    """What a criterion judges."""

    findings: Findings
    bounds: GatePart
    # None if there is none now.
    champion: Standing | None


class Judgement(NamedTuple):
    """A figure, None if it could not be measured, and its bounds, both inclusive."""

    value: float | None
    low: float | None = None
    high: float | None = None
    # Why it was not measured, or what it means if it is outside its bounds.
    reason: str = ""
    # The validation type of the figure; empty if there is only one.
    source: str = ""
    # Why it fails even within its bounds, and why it does not apply; empty if neither is so.
    failure: str = ""
    waiver: str = ""


@dataclass(frozen=True)
class GateRule:
    """One criterion."""

    name: str
    # What is measured, and within which bounds; fields of the study's bounds in braces.
    figure: str
    required: str
    # Why the gate requires it.
    purpose: str
    judge: Callable[[Case], Judgement]
    # Whether a cohort that the model has never seen cannot measure it.
    development_only: bool = False


def judge_rule(rule: GateRule, case: Case) -> Criterion:
    """Judge a case by one criterion; one that applies and was not measured has failed."""
    judgement = rule.judge(case)
    figure = rule.figure.format(**dict(case.bounds))
    low, high, value = judgement.low, judgement.high, judgement.value
    # NaN is not valid JSON, and means the same: not measured.
    known = None if value is None or math.isnan(value) else value
    met = known is not None and (low is None or known >= low) and (high is None or known <= high)
    because = "" if met else judgement.reason or "not measured"
    if judgement.failure and known is not None:
        met, because = False, judgement.failure
    criterion = Criterion(
        name=rule.name,
        question=f"{figure}, {judgement.source}" if judgement.source else figure,
        value=known,
        low=low,
        high=high,
        passed=met,
        because=because,
    )
    # What does not apply can neither pass nor fail.
    return waive_criterion(criterion, judgement.waiver) if judgement.waiver else criterion


def waive_criterion(criterion: Criterion, reason: str) -> Criterion:
    """Return the criterion as one that does not apply, and why."""
    return criterion.model_copy(update={"passed": None, "because": reason})
