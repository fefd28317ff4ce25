"""The criteria of the gate: what is asked of a model, one question and one number each.

Why each is asked, and how its bounds were chosen, is in docs/explanation/gate.md.
"""

import math
from typing import NamedTuple

from features.dictionary.outcome import parse_outcome
from training.findings.comparison import BASE_RATE
from training.findings.findings import Compared, Criterion, Findings, ValidationType
from training.measures.sample_size import count_for_base_rate
from training.study.parts import GatePart

EVIDENCE: tuple[ValidationType, ...] = ("corrected", "nested")
AGAIN = "fit again on today's cohort"
# Thresholds are multiples of .05 in floating point.
CLOSE = 1e-9


class Standing(NamedTuple):
    """Which version is champion, and what kind of candidate it is."""

    version: str
    candidate: str


def decide(
    name: str,
    question: str,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    because: str = "",
) -> Criterion:
    """Judge one number by its bounds.

    Parameters
    ----------
    because
        Why it was not measured, or what it means if it is beyond its bounds.

    Examples
    --------
    >>> decide("slope", "slope", 0.5, low=0.7, because="too extreme").passed
    False
    >>> decide("slope", "slope", None, low=0.7).because
    'not measured'
    """
    known = None if value is None or math.isnan(value) else value
    met = known is not None and (low is None or known >= low) and (high is None or known <= high)
    reason = "" if met else because or "not measured"
    return Criterion(
        name=name, question=question, value=known, low=low, high=high, passed=met, because=reason
    )


def waive(criterion: Criterion, because: str) -> Criterion:
    """Say that a criterion does not apply, and why."""
    return criterion.model_copy(update={"passed": None, "because": because})


def refuse_tie(criterion: Criterion) -> Criterion:
    """Refuse what is no better and no worse, where better is asked."""
    if criterion.value != 0:
        return criterion
    return criterion.model_copy(update={"passed": False, "because": "no better and no worse"})


class Evidence(NamedTuple):
    """One measure, and the way of testing behind it; None where it was not measured."""

    value: float | None
    way: ValidationType | None

    def name(self, measure: str) -> str:
        """Name the measure with its way of testing."""
        return measure if self.way is None else f"{measure}, {self.way}"

    def explain(self, low: float, below: str, above: str) -> str:
        """Say what it means to be beyond one bound or the other; nothing if not measured."""
        if self.value is None:
            return ""
        return below if self.value < low else above


def find_evidence(findings: Findings, name: str) -> Evidence:
    """Find a measure on patients from elsewhere, or corrected for optimism.

    Nested cross-validation stands in where there was no bootstrap, and where optimism is not
    defined: the slope of a model that separates its own patients is infinite.
    """
    external: tuple[ValidationType, ...] = ("external",)
    for way in external if findings.purpose == "external" else EVIDENCE:
        found = findings.find_performance(way)
        measure = None if found is None else found.measures.get(name)
        if measure is not None and measure.value is not None and not math.isnan(measure.value):
            return Evidence(measure.value, way)
    return Evidence(None, None)


def judge_base_rate(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether the model tells patients apart better than one share for all."""
    own = find_candidate(findings)
    errors = f"{bounds.standard_errors:g} standard error{'s' * (bounds.standard_errors != 1)}"
    criterion = decide(
        "base_rate",
        f"log loss in resampling less that of the base rate, below 0 by {errors} or more",
        None if own is None else own.difference,
        high=None if own is None else -bounds.standard_errors * own.error,
        because="was not compared" if own is None else "no better than the base rate for all",
    )
    return refuse_tie(criterion)


def find_candidate(findings: Findings) -> Compared | None:
    """Find how the model's own kind did among the candidates."""
    named = [one for one in findings.candidates if one.name == findings.card.candidate]
    return named[0] if named else None


def judge_slope(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether estimates are as far apart as the patients are."""
    low, high = bounds.calibration_slope
    found = find_evidence(findings, "slope")
    because = found.explain(low, "estimates are too extreme: overfitted", "estimates are too timid")
    question = found.name("calibration slope")
    return decide("calibration_slope", question, found.value, low, high, because)


def judge_ratio(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether as many respond as are expected to."""
    low, high = bounds.calibration_ratio
    found = find_evidence(findings, "ratio")
    because = found.explain(low, "estimates are too high", "estimates are too low")
    question = found.name("observed over expected")
    return decide("calibration_ratio", question, found.value, low, high, because)


def judge_benefit(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether treating by the model is worth as much as treating all, or none."""
    (low, high), margin = bounds.thresholds, bounds.net_benefit_margin
    points = [] if findings.decision is None else findings.decision.points
    reached = [point.threshold for point in points if point.gain.value is not None]
    covered = bool(reached) and min(reached) <= low + CLOSE and max(reached) >= high - CLOSE
    gains = {
        point.gain.value: point.threshold
        for point in points
        if point.gain.value is not None and low - CLOSE <= point.threshold <= high + CLOSE
    }
    worst = min(gains) if covered and gains else None
    lacking = f"no decision curve reaches from {low:g} to {high:g}"
    return decide(
        "net_benefit",
        f"lowest gain in net benefit over the better of treating all and none, at thresholds from "
        f"{low:g} to {high:g}",
        worst,
        low=-margin,
        because=lacking if worst is None else f"at the threshold {gains[worst]:g}",
    )


def judge_instability(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether other patients would have made much the same model."""
    found = findings.instability
    criterion = decide(
        "instability",
        "mean absolute difference between an estimate and those of re-developed models",
        None if found is None else found.error,
        high=bounds.instability,
        because="other patients would have led to other estimates"
        if found is not None and found.error is not None
        else "the model was not developed again",
    )
    if criterion.value is None and not bounds.redevelopments:
        return waive(criterion, "the study asks for no re-developments")
    return criterion


def judge_redevelopments(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether the whole procedure was repeated often enough to know its optimism."""
    found = findings.instability
    criterion = decide(
        "redevelopments",
        "re-developments of the whole procedure",
        0 if found is None else found.versions,
        low=bounds.redevelopments,
        because="too few to tell its optimism",
    )
    if not bounds.redevelopments:
        return waive(criterion, "the study asks for no re-developments")
    if findings.profile == "quick":
        held = "re-developed with choices held: fit without the quick profile"
        return criterion.model_copy(update={"passed": False, "because": held})
    return criterion


def judge_courses(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether there are courses enough to know the base rate."""
    share = findings.events / findings.courses if findings.courses else 0.5
    return decide(
        "courses",
        f"courses, from which the base rate is known to ± {bounds.base_rate_margin:g}",
        findings.courses,
        low=count_for_base_rate(share, bounds.base_rate_margin),
        because="too few to know even the base rate",
    )


def judge_events(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether there are courses enough of either class."""
    return decide(
        "events",
        "courses of the rarer class",
        min(findings.events, findings.courses - findings.events),
        low=bounds.fewest_events,
        because="too few to tell one class from the other",
    )


def judge_subgroups(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether any subgroup is surely miscalibrated.

    The number is what its interval allows that is nearest to 1: with few courses, anything.
    """
    nearest = {
        (row.grouping, row.name): min(max(1.0, row.ratio.low), row.ratio.high)
        for row in findings.subgroups
        if row.ratio is not None and row.ratio.low is not None and row.ratio.high is not None
    }
    low, high = bounds.subgroup_ratio
    beyond = [" ".join(name) for name, ratio in nearest.items() if not low <= ratio <= high]
    because = f"miscalibrated: {', '.join(beyond)}" if nearest else "no subgroup was tabulated"
    criterion = decide(
        "subgroups",
        "observed over expected in the worst subgroup, as near to 1 as its interval allows",
        max(nearest.values(), key=lambda ratio: abs(math.log(ratio or CLOSE)), default=None),
        low,
        high,
        because,
    )
    if findings.subgroups and not nearest:
        return waive(criterion, "no subgroup has courses enough to be judged")
    return criterion


def judge_leakage(findings: Findings, bounds: GatePart) -> Criterion:
    """Ask whether the model ranks better than baseline can."""
    found = find_evidence(findings, "auc")
    known = "" if found.value is None else "too good to be true: some column may know the outcome"
    criterion = decide(
        "leakage",
        found.name("AUC from baseline alone"),
        found.value,
        high=bounds.highest_auc,
        because=known,
    )
    if parse_outcome(findings.card.outcome.id).checkpoint is not None:
        return waive(criterion, "early scores may tell far more than baseline")
    return criterion


def judge_champion(findings: Findings, present: Standing | None) -> Criterion:
    """Ask whether the model is better than the champion on the same resamples."""
    facts = findings.champion
    compared = facts is not None and present is not None and facts.version == present.version
    criterion = decide(
        "champion",
        "log loss in resampling less that of the champion, below 0",
        facts.difference if facts is not None and compared else None,
        high=0.0,
        because="no better than the champion",
    )
    if present is None:
        return waive(criterion, "there is no champion")
    if present.candidate == BASE_RATE:
        return waive(criterion, "the champion is the base rate: see base_rate")
    if not compared:
        was = f"version {facts.version}" if facts is not None else "no champion"
        because = f"compared with {was}, but the champion is version {present.version}: {AGAIN}"
        return criterion.model_copy(update={"because": because})
    return refuse_tie(criterion)
