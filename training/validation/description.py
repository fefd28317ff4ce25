"""Results for the report: what it draws and tabulates, from held-out predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.equation import Equation
from features.model.response_model import ResponseModel
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
from training.measures.bootstrap import IntervalSettings, summarise_draws
from training.measures.calibration_curve import fit_curve
from training.measures.decision import THRESHOLDS, compute_benefits, measure_decisions
from training.measures.instability import (
    band_estimates,
    compute_errors,
    compute_flips,
    draw_curves,
)
from training.measures.predictions import Predictions
from training.measures.sample_size import compute_sample_size, derive_r2
from training.measures.subgroups import label_courses, tabulate_subgroups
from training.study.design import Design
from training.study.parts import GatePart
from training.validation.across_sites import measure_across_sites

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


@dataclass(frozen=True)
class Shown:
    """What the figures of a report show: predictions of courses, and how refits would differ.

    Parameters
    ----------
    way
        The type of validation.
    predictions, columns
        Of the courses; the latter once, however often they were predicted.
    estimates, versions
        Probabilities by the model itself, ``[courses]``, and by its bootstrap refits,
        ``[versions, courses]``; the latter may be empty.
    method
        What was repeated to obtain the refits.
    by_site
        Predictions grouped by site, with the sites' names; None if there is nothing to compare.
    """

    way: ValidationType
    predictions: Predictions
    columns: Columns
    estimates: Numbers
    versions: Numbers
    method: str
    by_site: tuple[Predictions, tuple[str, ...]] | None

    @property
    def outcome(self) -> Numbers:
        """Outcomes of the courses, ``[courses]``."""
        return self.predictions.outcome[: self.predictions.size]


def describe_figures(
    model: ResponseModel, shown: Shown, bounds: GatePart, settings: IntervalSettings
) -> dict[str, Any]:
    """Describe what a report draws of a model, by the fields of the findings."""
    predictions, columns, level = shown.predictions, shown.columns, settings.level
    # The middle of the range in which treatment is debated.
    threshold = float(np.mean(bounds.thresholds))
    instrument = model.card.parse_outcome().instrument
    courses = predictions.average_repeats()
    subgroups = tabulate_subgroups(courses, label_courses(columns, instrument), level)
    return {
        "mean_estimate": float(np.average(predictions.probability, weights=predictions.weights)),
        "calibration": describe_calibration(shown, settings),
        "decision": describe_decisions(shown, settings),
        "instability": describe_instability(shown, level, threshold),
        "across_sites": measure_across_sites(*shown.by_site, level) if shown.by_site else None,
        "subgroups": tuple(subgroups),
        "factors": describe_factors(model.equation, columns, model.card.interval.level),
    }


def describe_calibration(shown: Shown, settings: IntervalSettings) -> CalibrationFacts:
    """Describe the calibration curve, and those of bootstrap refits."""
    predictions, versions = shown.predictions, shown.versions[:_MAX_LINES]
    at, curve = _space_points(predictions.probability), None
    if not predictions.is_constant:
        curve = fit_curve(
            predictions.probability, *predictions.courses, repeats=predictions.repeats
        )
    points: tuple[CurvePoint, ...] = ()
    if curve is not None:
        rows = zip(at, curve.read(at), *curve.read_interval(at, settings.level), strict=True)
        points = tuple(
            CurvePoint(estimate=x, observed=y, low=low, high=high) for x, y, low, high in rows
        )
    lines = draw_curves(versions, shown.outcome, at).tolist()
    return CalibrationFacts(
        way=shown.way,
        points=points,
        histogram=count_bins(predictions.probability, predictions.repeats),
        at=tuple(at.tolist()),
        versions=tuple(tuple(None if np.isnan(y) else y for y in line) for line in lines),
    )


def _space_points(probability: Numbers) -> Numbers:
    # Without the outermost hundredths, where a curve rests on single courses.
    low, high = np.quantile(probability, [0.01, 0.99])
    return np.linspace(np.floor(100 * low) / 100, np.ceil(100 * high) / 100, _CURVE_POINTS)


def count_bins(probability: Numbers, repeats: int = 1) -> tuple[Bin, ...]:
    """Count courses by estimate, of several predictions each; small counts become 0.

    >>> [bar.courses for bar in count_bins(np.repeat([0.02, 0.07], [6, 4]))][:2]
    [6, 0]
    """
    counts, edges = np.histogram(probability, _BINS, (0, 1))
    shown = np.round(counts / repeats).astype(int)
    return tuple(
        Bin(
            low=round(float(low), 2),
            high=round(float(high), 2),
            courses=int(count) if count >= _MIN_IN_BAR else 0,
        )
        for low, high, count in zip(edges, edges[1:], shown, strict=False)
    )


def describe_decisions(shown: Shown, settings: IntervalSettings) -> DecisionFacts:
    """Describe the decision curve, and those of bootstrap refits."""
    thresholds, each = np.array(THRESHOLDS), np.ones((1, len(shown.outcome)))
    lines = [
        compute_benefits(version, shown.outcome, thresholds, each)[0].tolist()
        for version in shown.versions[:_MAX_LINES]
    ]
    return DecisionFacts(
        way=shown.way,
        points=tuple(measure_decisions(shown.predictions, settings)),
        versions=tuple(map(tuple, lines)),
    )


def describe_instability(shown: Shown, level: float, threshold: float) -> InstabilityFacts:
    """Describe how much estimates change between bootstrap refits."""
    estimates, versions = shown.estimates, shown.versions
    if not len(versions):
        return InstabilityFacts(versions=0, level=level)
    return InstabilityFacts(
        versions=len(versions),
        method=shown.method,
        level=level,
        error=float(compute_errors(estimates, versions).mean()),
        threshold=threshold,
        flips=float(compute_flips(estimates, versions, threshold).mean()),
        bands=tuple(band_estimates(estimates, versions, level)),
    )


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
        # A published equation discriminates without any coefficient estimated here.
        discriminates = auc is not None and auc >= _MIN_AUC
        reason = (
            "No coefficient was estimated here" if discriminates else "It does not discriminate"
        )
        verdict = f"{reason}: only the base rate has to be precise."
        return SampleSizeFacts(**facts, auc=None, courses={}, binding=None, verdict=verdict)
    needed = compute_sample_size(parameters, prevalence, derive_r2(auc, prevalence))
    return SampleSizeFacts(
        **facts,
        auc=auc,
        courses=needed.courses,
        binding=needed.binding,
        verdict=needed.judge(courses),
    )


def describe_factors(equation: Equation, columns: Columns, level: float) -> tuple[FactorFacts, ...]:
    """Describe how much each field that moves estimates does so, the largest first.

    Empty for a model that cannot be split by field.
    """
    if not equation.splits:
        return ()
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


def count_prorated(columns: Columns) -> Mapping[str, int]:
    """Count the courses with a pro-rated baseline total, by instrument."""
    return {name: int(marks.sum()) for name, marks in columns.prorated.items() if marks.any()}


def share_recorded(columns: Columns, names: list[str]) -> Mapping[str, float]:
    """Compute the proportion of courses in which each field is recorded."""
    return {name: float(1 - columns.find_missing(name).mean()) for name in names}
