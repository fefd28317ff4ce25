"""Descriptions: what a report draws and tabulates, from what was said of courses."""

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
from training.validation.development.validated import Validated
from training.validation.groups import label_courses

# Of all versions so many are drawn as thin lines.
MOST_LINES = 50
CURVE_POINTS = 21
BINS = 20
# A bar of fewer courses would single them out.
FEWEST_IN_BAR = 5
# Courses and versions over which the spread of contributions is taken, at the most.
MOST_COURSES, MOST_VERSIONS = 1000, 50
LEAST_AUC = 0.505


def describe_calibration(
    predictions: Predictions,
    way: ValidationType,
    settings: IntervalSettings,
    versions: Numbers,
    outcome: Numbers,
) -> CalibrationFacts:
    """Describe the calibration curve, and those of re-developed models.

    Parameters
    ----------
    versions
        ``[versions, courses]``: probabilities by re-developed models; may be empty.
    outcome
        ``[courses]`` that the versions are about.
    """
    at = place_points(predictions.probability)
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
    lines = draw_curves(versions[:MOST_LINES].T, outcome, at) if len(versions) else np.empty((0, 0))
    return CalibrationFacts(
        way=way,
        points=points,
        histogram=count_bins(
            predictions.probability, len(predictions.outcome) // max(1, len(outcome))
        ),
        at=tuple(at.tolist()),
        versions=tuple(tuple(None if np.isnan(y) else y for y in line) for line in lines.tolist()),
    )


def place_points(probability: Numbers) -> Numbers:
    """Place points over the estimates, but for the outermost hundredth on either side."""
    low, high = np.quantile(probability, [0.01, 0.99])
    return np.linspace(np.floor(100 * low) / 100, np.ceil(100 * high) / 100, CURVE_POINTS)


def count_bins(probability: Numbers, repeats: int = 1) -> tuple[Bin, ...]:
    """Count courses by estimate; of few none are shown.

    Parameters
    ----------
    repeats
        How often each course is there.

    Examples
    --------
    >>> [bar.courses for bar in count_bins(np.repeat([0.02, 0.07], [6, 4]))][:2]
    [6, 0]
    """
    counts, edges = np.histogram(probability, BINS, (0, 1))
    shown = np.round(counts / max(1, repeats)).astype(int)
    return tuple(
        Bin(
            low=round(float(low), 2),
            high=round(float(high), 2),
            courses=int(count) if count >= FEWEST_IN_BAR else 0,
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
    """Describe the decision curve, and those of re-developed models."""
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
        lines = draw_benefits(versions[:MOST_LINES].T, outcome, np.array(THRESHOLDS))
    return DecisionFacts(
        way=way,
        points=tuple(points),
        versions=tuple(tuple(line) for line in lines.tolist()),
    )


def describe_instability(
    probability: Numbers, versions: Numbers, method: str, level: float, threshold: float
) -> InstabilityFacts:
    """Describe how far estimates would have been others.

    Parameters
    ----------
    probability, versions
        ``[courses]`` by the model, and ``[versions, courses]`` by re-developed ones.
    method
        How those were developed.
    """
    if not len(versions):
        return InstabilityFacts(versions=0, level=level)
    told = versions.T
    return InstabilityFacts(
        versions=len(versions),
        method=method,
        level=level,
        error=float(compute_errors(probability, told).mean()),
        threshold=threshold,
        flips=float(compute_flips(probability, told, threshold).mean()),
        bands=tuple(band_estimates(probability, told, level)),
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
    validated: Validated, performance: Sequence[Performance]
) -> SampleSizeFacts:
    """Say whether the courses are enough for an unpenalised model of so many parameters.

    Each unpenalised parameter brings an optimism of the mean log loss of one over the courses: so
    measured optimism tells as how many of them the model counts.
    """
    by_way = {one.way: one for one in performance}
    corrected = by_way["corrected"]
    auc = (corrected.measures or by_way["nested"].measures)["auc"].value
    optimism, courses = corrected.optimism.get("log_loss"), validated.design.size
    prevalence = float(np.average(validated.design.outcome, weights=validated.design.weights))
    effective = None if optimism is None else float(max(0.0, -optimism * courses))
    told: dict[str, Any] = {
        "parameters": validated.parameters,
        "effective": effective,
        "prevalence": prevalence,
    }
    if not validated.parameters or auc is None or auc < LEAST_AUC:
        verdict = "It ranks nobody: only the base rate has to be precise."
        return SampleSizeFacts(**told, auc=None, courses={}, binding=None, verdict=verdict)
    needed = compute_sample_size(validated.parameters, prevalence, auc=auc)
    return SampleSizeFacts(
        **told,
        auc=auc,
        courses=needed.courses,
        binding=needed.binding,
        verdict=needed.judge(courses),
    )


def describe_factors(equation: Equation, columns: Columns, level: float) -> tuple[FactorFacts, ...]:
    """Describe how much each field moves estimates; the most moving first, without idle ones."""
    some = columns.select(np.arange(0, columns.size, 1 + columns.size // MOST_COURSES))
    versions = range(min(1 + MOST_VERSIONS, len(equation.terms.intercept)))
    spreads = np.array([spread_contributions(equation, some, version) for version in versions])
    told = [
        FactorFacts(
            field=name,
            label=columns.dictionary.cohort_fields[name].label,
            deviation=enclose(float(spreads[0, place]), spreads[1:, place], level),
            recorded=float(1 - columns.find_missing(name).mean()),
        )
        for place, name in enumerate(equation.fields)
        if spreads[0, place] > 0
    ]
    return tuple(sorted(told, key=lambda one: -(one.deviation.value or 0)))


def spread_contributions(equation: Equation, columns: Columns, version: int) -> Numbers:
    """Compute the standard deviation of each field's contributions by one version."""
    explained = equation.select_version(version).explain(columns)
    deviations: Numbers = explained.contributions.std(axis=0)
    return deviations


def enclose(value: float, drawn: Numbers, level: float) -> Measure:
    """Put an interval of draws around a value, widened to hold it.

    A mean over versions moves less than each of them.
    """
    found = summarise_draws(value, drawn, level)
    if found.low is None or found.high is None:
        return found
    return Measure(value=value, low=min(found.low, value), high=max(found.high, value))


def share_recorded(columns: Columns, names: list[str]) -> Mapping[str, float]:
    """Compute the share of courses in which each field is recorded."""
    return {name: float(1 - columns.find_missing(name).mean()) for name in names}
