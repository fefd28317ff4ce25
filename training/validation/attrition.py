"""Missing outcomes: which patients have one, and how much it may matter.

The delta adjustment (Rubin, 1977) assumes that patients with missing follow-up responded less, by a
stated odds ratio, than patients with known follow-up and the same baseline. Their probabilities are
the chosen model's, shifted by the logarithm of the odds ratio. No data can decide between the rows
of the table.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from features.base.arrays import Flags, Numbers
from features.model.equation import Equation
from features.model.matrix import Feature, build_matrix
from features.model.prediction import compute_probability
from features.records.columns import Columns
from training.findings.findings import Attrition, BaselineGap, Scenario
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.predictions import Predictions
from training.study.parts import ODDS_RATIOS
from training.study.weighting import count_effective

_ASSUMPTION = (
    "given what is recorded at baseline and the site, whether an outcome is reported does not "
    "depend on the outcome"
)
# Assumed: more would bury the largest.
_MAX_GAPS = 5
# With fewer courses on either side, a difference would reveal single patients.
MIN_COMPARED = 10


class Enrolment(NamedTuple):
    """Courses whose outcome could be judged, and which of them had it reported.

    Of the others, how many lack a baseline total, and how many have one that cannot improve.
    """

    columns: Columns
    features: tuple[Feature, ...]
    reported: Flags
    unmeasured: int
    settled: int = 0


def describe_attrition(
    enrolment: Enrolment, held_out: Predictions | None, equation: Equation
) -> Attrition:
    """Describe which courses have a missing outcome, and vary what is assumed of them.

    Parameters
    ----------
    held_out
        Of the courses with a known outcome, by the model; None if there are none.
    equation
        Of the model.
    """
    weights = None
    if held_out is not None and held_out.weights is not None:
        weights = held_out.weights[: held_out.size]
    missing = enrolment.columns.select(~enrolment.reported)
    scenarios: tuple[Scenario, ...] = ()
    if held_out is not None and missing.size:
        log_odds = equation.compute_log_odds(missing)[:, 0]
        scenarios = tuple(vary_odds(ratio, held_out, log_odds) for ratio in ODDS_RATIOS)
    return Attrition(
        courses=enrolment.columns.size,
        missing=missing.size,
        unmeasured=enrolment.unmeasured,
        settled=enrolment.settled,
        gaps=tuple(compare_baseline(enrolment)),
        effective=None if weights is None else count_effective(weights),
        largest=None if weights is None else float(weights.max()),
        scenarios=scenarios,
        assumption=_ASSUMPTION,
    )


def compare_baseline(enrolment: Enrolment) -> list[BaselineGap]:
    """Compare courses with missing and known outcomes; one gap per field, the largest first."""
    # A field has several features: a total and its thresholds would repeat one difference.
    largest: dict[str, BaselineGap] = {}
    for gap in sorted(_measure_gaps(enrolment), key=lambda gap: -abs(gap.difference)):
        largest.setdefault(gap.field, gap)
    return list(largest.values())[:_MAX_GAPS]


def _measure_gaps(enrolment: Enrolment) -> Iterator[BaselineGap]:
    columns, features, reported = enrolment.columns, enrolment.features, enrolment.reported
    matrix = build_matrix(columns, features).astype(np.float64)
    for feature, values in zip(features, matrix.T, strict=True):
        recorded = ~np.isnan(values)
        missing, known = (values[recorded & side] for side in (~reported, reported))
        if min(len(missing), len(known)) < MIN_COMPARED:
            continue
        # The standardised mean difference of balance tables: it does not depend on the numbers of
        # courses.
        deviation = np.sqrt((missing.var() + known.var()) / 2)
        if deviation > 0:
            label = columns.dictionary.cohort_fields[feature.field].label
            difference = float((missing.mean() - known.mean()) / deviation)
            yield BaselineGap(
                field=feature.field, label=label, feature=feature.name, difference=difference
            )


def vary_odds(odds_ratio: float, held_out: Predictions, missing_log_odds: Numbers) -> Scenario:
    """Compute base rate and calibration over all courses under one odds ratio.

    Parameters
    ----------
    missing_log_odds
        ``[courses]``: the model's log-odds of the courses with a missing outcome.
    """
    # Each missing outcome counts as both classes, by its assumed probability.
    imputed = compute_probability(missing_log_odds + np.log(odds_ratio))
    log_odds = np.append(held_out.log_odds, missing_log_odds)
    expected = np.append(held_out.outcome, imputed)
    # Each course counts once, however often it was held out.
    weights = np.repeat([1 / held_out.repeats, 1.0], [len(held_out.outcome), len(missing_log_odds)])
    slope = np.nan
    if not held_out.is_constant:
        slope = fit_intercept_slope(log_odds, expected, weights[None, :])[0, 1]
    return Scenario(
        odds_ratio=odds_ratio,
        missing_rate=float(imputed.mean()),
        base_rate=float(np.average(expected, weights=weights)),
        predicted=float(np.average(compute_probability(log_odds), weights=weights)),
        intercept=float(fit_intercept(log_odds, expected, weights[None, :])[0]),
        slope=None if np.isnan(slope) else float(slope),
    )
