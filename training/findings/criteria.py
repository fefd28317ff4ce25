"""The criteria of the gate: one figure and its bounds each, in one table.

To add a criterion, write its function and its row of :data:`RULES` here, and its test. The gate,
the reports, ``promote`` and docs/reference/gate.md follow the table. A bound that a study need not
set is 0 by default, where the criterion is waived (as for ``redevelopments``). Why the bounds are
what they are is in docs/explanation/gate.md.
"""

import math

from training.candidates.registry import BASE_RATE
from training.findings.findings import Findings, ValidationType
from training.findings.rule import Case, GateRule, Judgement
from training.measures.sample_size import count_for_base_rate

# The first that measured it counts: the bootstrap's correction is less noisy than one
# cross-validation, but undefined for a model that separates its own patients (infinite slope).
_CORRECTED_ELSE_NESTED: tuple[ValidationType, ...] = ("corrected", "nested")
_EXTERNAL: tuple[ValidationType, ...] = ("external",)
# Thresholds are multiples of 0.05 in floating point.
_TOLERANCE = 1e-9


def _judge_base_rate(case: Case) -> Judgement:
    candidates = case.findings.candidates
    own = next((c for c in candidates if c.name == case.findings.card.candidate), None)
    if own is None:
        return Judgement(None, reason="the candidates were not compared")
    bound = -case.bounds.standard_errors * own.error
    return Judgement(
        own.difference,
        high=bound,
        reason="no better than the base rate",
        failure=_explain_tie(own.difference),
    )


def _judge_slope(case: Case) -> Judgement:
    value, source = _find_evidence(case.findings, "slope")
    low, high = case.bounds.calibration_slope
    below, above = "estimates are too extreme (overfitting)", "estimates are not extreme enough"
    return Judgement(value, low, high, _explain_side(value, low, below, above), source)


def _judge_ratio(case: Case) -> Judgement:
    value, source = _find_evidence(case.findings, "ratio")
    low, high = case.bounds.calibration_ratio
    reason = _explain_side(value, low, "estimates are too high", "estimates are too low")
    return Judgement(value, low, high, reason, source)


def _judge_benefit(case: Case) -> Judgement:
    (low, high), decision = case.bounds.thresholds, case.findings.decision
    gains = {
        point.threshold: point.gain.value
        for point in ([] if decision is None else decision.points)
        if point.gain.value is not None
    }
    least = -case.bounds.net_benefit_margin
    inside = {t: gain for t, gain in gains.items() if low - _TOLERANCE <= t <= high + _TOLERANCE}
    if not inside or min(gains) > low + _TOLERANCE or max(gains) < high - _TOLERANCE:
        reason = f"no decision curve covers thresholds from {low:g} to {high:g}"
        return Judgement(None, low=least, reason=reason)
    worst = min(inside, key=lambda threshold: inside[threshold])
    return Judgement(inside[worst], low=least, reason=f"at the threshold {worst:g}")


def _judge_instability(case: Case) -> Judgement:
    instability = case.findings.instability
    error = None if instability is None else instability.error
    if error is None:
        reason = "no bootstrap refits were made"
        return Judgement(None, high=case.bounds.instability, reason=reason, waiver=_waive(case))
    reason = "other patients would have led to other estimates"
    return Judgement(error, high=case.bounds.instability, reason=reason)


def _judge_redevelopments(case: Case) -> Judgement:
    instability = case.findings.instability
    quick = "hyperparameters were fixed in the refits: fit without the quick profile"
    return Judgement(
        0 if instability is None else instability.versions,
        low=case.bounds.redevelopments,
        reason="too few to estimate optimism",
        # Refits with fixed hyperparameters leave out the optimism of choosing them.
        failure=quick if case.findings.profile == "quick" else "",
        waiver=_waive(case),
    )


def _judge_courses(case: Case) -> Judgement:
    events, courses = case.findings.events, case.findings.courses
    # Without courses, the rate that needs most of them.
    rate = events / courses if courses else 0.5
    needed = count_for_base_rate(rate, case.bounds.base_rate_margin)
    return Judgement(courses, low=needed, reason="too few to know even the base rate")


def _judge_events(case: Case) -> Judgement:
    events, courses = case.findings.events, case.findings.courses
    reason = "too few to measure discrimination"
    return Judgement(min(events, courses - events), low=case.bounds.fewest_events, reason=reason)


def _judge_subgroups(case: Case) -> Judgement:
    low, high = case.bounds.subgroup_ratio
    # A small group's wide interval reaches 1: only a group that is certainly off fails.
    nearest = {
        f"{row.grouping} {row.name}": min(max(1.0, row.ratio.low), row.ratio.high)
        for row in case.findings.subgroups
        if row.ratio is not None and row.ratio.low is not None and row.ratio.high is not None
    }
    if not nearest:
        small = "no subgroup has enough courses to be judged" if case.findings.subgroups else ""
        return Judgement(None, low, high, "no subgroup was tabulated", waiver=small)
    worst = max(nearest.values(), key=lambda ratio: abs(math.log(ratio or _TOLERANCE)))
    outside = [name for name, ratio in nearest.items() if not low <= ratio <= high]
    return Judgement(worst, low, high, f"miscalibrated: {', '.join(outside)}")


def _judge_leakage(case: Case) -> Judgement:
    value, source = _find_evidence(case.findings, "auc")
    outcome = case.findings.card.parse_outcome()
    return Judgement(
        value,
        high=case.bounds.highest_auc,
        reason="" if value is None else "implausibly high: a column may contain the outcome",
        source=source,
        waiver="early scores predict far better than baseline" if outcome.checkpoint else "",
    )


def _judge_champion(case: Case) -> Judgement:
    compared, champion = case.findings.champion, case.champion
    if champion is None:
        return Judgement(None, high=0.0, waiver="there is no champion")
    is_base = champion.candidate == BASE_RATE
    waiver = "the champion is the base rate: see base_rate" if is_base else ""
    if compared is None or compared.version != champion.version:
        other = "no champion" if compared is None else f"version {compared.version}"
        reason = (
            f"compared with {other}, but the champion is version {champion.version}: "
            "fit again on the current cohort"
        )
        return Judgement(None, high=0.0, reason=reason, waiver=waiver)
    gap = compared.difference
    reason, failure = "no better than the champion", _explain_tie(gap)
    return Judgement(gap, high=0.0, reason=reason, failure=failure, waiver=waiver)


def _find_evidence(findings: Findings, measure: str) -> tuple[float | None, str]:
    for validation_type in _EXTERNAL if findings.purpose == "external" else _CORRECTED_ELSE_NESTED:
        performance = findings.find_performance(validation_type)
        result = None if performance is None else performance.measures.get(measure)
        if result is not None and result.value is not None and not math.isnan(result.value):
            return result.value, validation_type
    return None, ""


def _explain_side(value: float | None, low: float, below: str, above: str) -> str:
    if value is None:
        return ""
    return below if value < low else above


def _explain_tie(difference: float) -> str:
    # A bound of 0 is inclusive, and a model that differs in nothing is not an improvement.
    return "no better and no worse" if difference == 0 else ""


def _waive(case: Case) -> str:
    return "" if case.bounds.redevelopments else "the study requires no bootstrap refits"


RULES = (
    GateRule(
        "base_rate",
        "log loss in cross-validation, minus that of the base rate",
        "at least {standard_errors:g} standard error(s) below 0",
        "a model no better than one proportion for all only adds risk",
        _judge_base_rate,
        development_only=True,
    ),
    GateRule(
        "calibration_slope",
        "calibration slope",
        "{calibration_slope[0]:g} to {calibration_slope[1]:g}",
        "below 1 estimates are too extreme (overfitting), above 1 not extreme enough",
        _judge_slope,
    ),
    GateRule(
        "calibration_ratio",
        "O/E ratio",
        "{calibration_ratio[0]:g} to {calibration_ratio[1]:g}",
        "estimates must not all be too high or too low, as class weighting makes them",
        _judge_ratio,
    ),
    GateRule(
        "net_benefit",
        "smallest gain in net benefit over the better of treating all and treating none, at "
        "thresholds from {thresholds[0]:g} to {thresholds[1]:g}",
        "at least -{net_benefit_margin:g}",
        "decisions by the model must not be worse than decisions without it",
        _judge_benefit,
    ),
    GateRule(
        "instability",
        "mean absolute difference between estimates and those of bootstrap refits",
        "at most {instability:g}",
        "other patients of the same clinic must not have led to other estimates",
        _judge_instability,
        development_only=True,
    ),
    GateRule(
        "redevelopments",
        "bootstrap refits of the whole procedure, choices included",
        "at least {redevelopments}",
        "without them optimism is unknown",
        _judge_redevelopments,
        development_only=True,
    ),
    GateRule(
        "courses",
        "courses",
        "enough to know the base rate to ± {base_rate_margin:g}",
        "with fewer, not even the base rate is known",
        _judge_courses,
    ),
    GateRule(
        "events",
        "courses in the smaller outcome class",
        "at least {fewest_events}",
        "fewer cannot show whether the model discriminates",
        _judge_events,
    ),
    GateRule(
        "subgroups",
        "O/E ratio in the worst subgroup, as near to 1 as its interval allows",
        "{subgroup_ratio[0]:g} to {subgroup_ratio[1]:g}",
        "no group may have estimates that are clearly wrong",
        _judge_subgroups,
    ),
    GateRule(
        "leakage",
        "AUC from baseline alone",
        "at most {highest_auc:g}",
        "no honest model reaches more from baseline alone",
        _judge_leakage,
    ),
    GateRule(
        "champion",
        "log loss in cross-validation, minus that of the champion, on the same patients and folds",
        "below 0",
        "a change must be an improvement",
        _judge_champion,
        development_only=True,
    ),
)
