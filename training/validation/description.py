"""Results for the report: what it draws and tabulates, from held-out predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.base.arrays import Numbers
from features.dictionary.instrument import Instrument
from features.model.card import Measure
from features.model.equation import Equation
from features.records.columns import Columns
from training.findings.findings import (
    Bin,
    CalibrationFacts,
    CurvePoint,
    DecisionFacts,
    FactorFacts,
    InstabilityFacts,
    Performance,
    SampleSizeFacts,
    ValidationType,
)
from training.measures.calibration_curve import fit_curve
from training.measures.decision import THRESHOLDS, measure_decisions
from training.measures.instability import (
    band_estimates,
    compute_errors,
    compute_flips,
    draw_benefits,
    draw_curves,
)
from training.measures.intervals import summarise_draws
from training.measures.performance import IntervalSettings
from training.measures.predictions import Predictions
from training.measures.sample_size import compute_sample_size
from training.measures.subgroups import Subgroup, tabulate_subgroups
from training.study.design import Design
from training.validation.groups import label_courses

# Bootstrap refits drawn as thin lines; more would hide the curve.
_MAX_LINES = 50
# Dense enough for a smooth line at the size of the figure; bars are five percentage points wide.
_CURVE_POINTS = 21
_BINS = 20
# A bar of fewer courses could identify patients.
_MIN_IN_BAR = 5
# Contributions of more courses or refits change their spread too little to be worth the time.
_MAX_COURSES, _MAX_REFITS = 1000, 50
# At an AUC so near 0.5, the formula would require millions of courses.
_MIN_AUC = 0.505


def describe_calibration(
    predictions: Predictions,
    way: ValidationType,
    settings: IntervalSettings,
    versions: Numbers,
    outcome: Numbers,
) -> CalibrationFacts:
    """Describe the calibration curve, and those of bootstrap refits.

    Parameters
    ----------
    versions
        ``[versions, courses]``: probabilities by bootstrap refits; may be empty.
    outcome
        ``[courses]`` that the refits predict.
    """
    at = _space_points(predictions.probability)
    curve = None
    if not predictions.is_constant:
        curve = fit_curve(
            predictions.probability, predictions.outcome, predictions.weights, predictions.patients
        )
    points: tuple[CurvePoint, ...] = ()
    if curve is not None:
        rows = zip(at, curve.read(at), *curve.read_interval(at, settings.level), strict=True)
        points = tuple(
            CurvePoint(estimate=x, observed=y, low=low, high=high) for x, y, low, high in rows
        )
    lines = draw_curves(versions[:_MAX_LINES].T, outcome, at) if len(versions) else np.empty((0, 0))
    return CalibrationFacts(
        way=way,
        points=points,
        histogram=count_bins(
            predictions.probability, len(predictions.outcome) // max(1, len(outcome))
        ),
        at=tuple(at.tolist()),
        versions=tuple(tuple(None if np.isnan(y) else y for y in line) for line in lines.tolist()),
    )


def _space_points(probability: Numbers) -> Numbers:
    # Without the outermost hundredths, where a curve rests on single courses.
    low, high = np.quantile(probability, [0.01, 0.99])
    return np.linspace(np.floor(100 * low) / 100, np.ceil(100 * high) / 100, _CURVE_POINTS)


def count_bins(probability: Numbers, repeats: int = 1) -> tuple[Bin, ...]:
    """Count courses by estimate; small counts become 0.

    Parameters
    ----------
    repeats
        Predictions per course.

    Examples
    --------
    >>> [bar.courses for bar in count_bins(np.repeat([0.02, 0.07], [6, 4]))][:2]
    [6, 0]
    """
    counts, edges = np.histogram(probability, _BINS, (0, 1))
    shown = np.round(counts / max(1, repeats)).astype(int)
    return tuple(
        Bin(
            low=round(float(low), 2),
            high=round(float(high), 2),
            courses=int(count) if count >= _MIN_IN_BAR else 0,
        )
        for low, high, count in zip(edges, edges[1:], shown, strict=False)
    )


def describe_decisions(
    predictions: Predictions,
    way: ValidationType,
    settings: IntervalSettings,
    versions: Numbers,
    outcome: Numbers,
) -> DecisionFacts:
    """Describe the decision curve, and those of bootstrap refits."""
    points = measure_decisions(
        predictions.probability,
        predictions.outcome,
        predictions.patients,
        settings.samples,
        settings.level,
        settings.seed,
        predictions.weights,
    )
    lines = np.empty((0, 0))
    if len(versions):
        lines = draw_benefits(versions[:_MAX_LINES].T, outcome, np.array(THRESHOLDS))
    return DecisionFacts(
        way=way,
        points=tuple(points),
        versions=tuple(tuple(line) for line in lines.tolist()),
    )


def describe_instability(
    probability: Numbers, versions: Numbers, method: str, level: float, threshold: float
) -> InstabilityFacts:
    """Describe how much estimates change between bootstrap refits.

    Parameters
    ----------
    probability, versions
        ``[courses]`` by the model, and ``[versions, courses]`` by its refits.
    method
        What was repeated to obtain the refits.
    """
    if not len(versions):
        return InstabilityFacts(versions=0, level=level)
    by_course = versions.T
    return InstabilityFacts(
        versions=len(versions),
        method=method,
        level=level,
        error=float(compute_errors(probability, by_course).mean()),
        threshold=threshold,
        flips=float(compute_flips(probability, by_course, threshold).mean()),
        bands=tuple(band_estimates(probability, by_course, level)),
    )


def describe_subgroups(
    predictions: Predictions, columns: Columns, instrument: Instrument, level: float
) -> tuple[Subgroup, ...]:
    """Describe performance by subgroup.

    Parameters
    ----------
    columns
        Of the courses that were predicted, in the same order.
    """
    rows = tabulate_subgroups(
        predictions.probability,
        predictions.outcome,
        label_courses(columns, instrument),
        level,
        predictions.weights,
        predictions.patients,
    )
    return tuple(rows)


def describe_sample_size(
    parameters: int, design: Design, performance: Sequence[Performance]
) -> SampleSizeFacts:
    """Describe whether the courses are enough for an unpenalised model with as many parameters.

    Each unpenalised parameter adds 1 / courses to the optimism of the mean log loss, so the
    measured optimism gives the effective number of parameters.
    """
    by_type = {measured.way: measured for measured in performance}
    corrected = by_type["corrected"]
    auc = (corrected.measures or by_type["nested"].measures)["auc"].value
    optimism, courses = corrected.optimism.get("log_loss"), design.size
    prevalence = float(np.average(design.outcome, weights=design.weights))
    effective = None if optimism is None else float(max(0.0, -optimism * courses))
    facts: dict[str, Any] = {
        "parameters": parameters,
        "effective": effective,
        "prevalence": prevalence,
    }
    if not parameters or auc is None or auc < _MIN_AUC:
        verdict = "It does not discriminate: only the base rate has to be precise."
        return SampleSizeFacts(**facts, auc=None, courses={}, binding=None, verdict=verdict)
    needed = compute_sample_size(parameters, prevalence, auc=auc)
    return SampleSizeFacts(
        **facts,
        auc=auc,
        courses=needed.courses,
        binding=needed.binding,
        verdict=needed.judge(courses),
    )


def describe_factors(equation: Equation, columns: Columns, level: float) -> tuple[FactorFacts, ...]:
    """Describe how much each field that moves estimates does so, the largest first."""
    # Evenly spaced, not drawn: findings must not depend on a seed here.
    sample = columns.select(np.arange(0, columns.size, 1 + columns.size // _MAX_COURSES))
    refits = range(min(1 + _MAX_REFITS, len(equation.terms.intercept)))
    spreads = np.array([_spread_contributions(equation, sample, refit) for refit in refits])
    factors = [
        FactorFacts(
            field=name,
            label=columns.dictionary.cohort_fields[name].label,
            deviation=_enclose(float(spreads[0, index]), spreads[1:, index], level),
            recorded=float(1 - columns.find_missing(name).mean()),
        )
        for index, name in enumerate(equation.fields)
        if spreads[0, index] > 0
    ]
    return tuple(sorted(factors, key=lambda factor: -(factor.deviation.value or 0)))


def _spread_contributions(equation: Equation, columns: Columns, refit: int) -> Numbers:
    explained = equation.select_version(refit).explain(columns)
    deviations: Numbers = explained.contributions.std(axis=0)
    return deviations


def _enclose(value: float, draws: Numbers, level: float) -> Measure:
    measure = summarise_draws(value, draws, level)
    if measure.low is None or measure.high is None:
        return measure
    # The model's mean over draws can spread less than every single one of them.
    return Measure(value=value, low=min(measure.low, value), high=max(measure.high, value))


def share_recorded(columns: Columns, names: list[str]) -> Mapping[str, float]:
    """Compute the proportion of courses in which each field is recorded."""
    return {name: float(1 - columns.find_missing(name).mean()) for name in names}
