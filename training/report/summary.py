"""The page for clinicians: the findings that its sentences are about."""

from dataclasses import dataclass
from typing import get_args

from training.findings.findings import Compared, CurvePoint, Findings, Performance, ValidationType
from training.findings.words import VALIDATION_TYPES

# Clinicians read the first of these that was done: the one closest to new patients.
_PREFERRED: tuple[ValidationType, ...] = (
    "external",
    "nested",
    "corrected",
    "sites",
    "temporal",
    "apparent",
)
# Positions along the calibration curve: near its lower end, in the middle, near its upper end.
_POSITIONS = (0.1, 0.5, 0.9)
# Differences of more standard errors are not attributed to sampling error.
_CLEAR_ERRORS = 2
_WORSE = "It is no better than the base rate"
_UNCLEAR = "It is better than the base rate, but sampling error alone could explain that"
_BETTER = "It is better than the base rate, by more than sampling error explains"
_NO_REASON = "the findings contain nothing about it"
_EXTERNAL_ELSEWHERE = "external validation has a report of its own"


@dataclass(frozen=True)
class PlainSummary:
    """What clinicians read of the findings."""

    # By the type of validation closest to new patients; None if nothing was tested.
    performance: Performance | None
    # Of the calibration curve, to be read as frequencies.
    points: tuple[CurvePoint, ...]
    # Among the candidates; None if none were compared.
    chosen: Compared | None
    # Whether it beats the base rate; empty if that was not measured.
    against_base: str


def summarise_findings(findings: Findings) -> PlainSummary:
    """Select what clinicians read of the findings."""
    done = (findings.find_performance(validation_type) for validation_type in _PREFERRED)
    performance = next((row for row in done if row is not None), None)
    points = findings.calibration.points if findings.calibration else ()
    indices = dict.fromkeys(round(position * (len(points) - 1)) for position in _POSITIONS)
    chosen = next((candidate for candidate in findings.candidates if candidate.chosen), None)
    return PlainSummary(
        performance=performance,
        points=tuple(points[index] for index in indices) if points else (),
        chosen=chosen,
        against_base=_compare_with_base(chosen, performance),
    )


def _compare_with_base(chosen: Compared | None, performance: Performance | None) -> str:
    if chosen is not None:
        clear = -chosen.difference > _CLEAR_ERRORS * chosen.error
        return _WORSE if chosen.difference >= 0 else _BETTER if clear else _UNCLEAR
    score = performance.measures.get("scaled_brier") if performance else None
    if score is None or score.value is None:
        return ""
    clear = score.low is not None and score.low > 0
    return _WORSE if score.value <= 0 else _BETTER if clear else _UNCLEAR


def list_undone(findings: Findings) -> list[tuple[str, str]]:
    """List the types of validation that were not done, and why; only one applies elsewhere."""
    reasons: dict[ValidationType, str] = {p.way: p.because for p in findings.performance}
    external: tuple[ValidationType, ...] = ("external",)
    types = external if findings.purpose == "external" else get_args(ValidationType)
    reasons.setdefault("external", _EXTERNAL_ELSEWHERE)
    return [
        (VALIDATION_TYPES[validation_type], reasons.get(validation_type) or _NO_REASON)
        for validation_type in types
        if findings.find_performance(validation_type) is None
    ]
