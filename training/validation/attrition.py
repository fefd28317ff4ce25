"""Outcomes that are missing: who lacks one, and how much that may matter.

The delta adjustment (Rubin, 1977) asks what would follow if those who do not report responded less
than those who report with the same baseline, by a stated odds ratio. Their probabilities are the
chosen model's, shifted by its logarithm. No data can tell which row of the table is true.
"""

from collections.abc import Iterator

import numpy as np

from features.base.arrays import Numbers
from features.model.equation import Equation
from features.model.prediction import compute_probability
from training.findings.findings import Attrition, BaselineGap, Scenario
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.study import Study
from training.study.weighting import Enrolment, count_effective

ASSUMPTION = (
    "given what is recorded at baseline and the site, whether an outcome is reported does not "
    "depend on the outcome"
)
MOST_GAPS = 5
# A difference between fewer courses than this would say something of single ones.
FEWEST_COMPARED = 10


def describe_attrition(
    study: Study,
    design: Design,
    enrolment: Enrolment,
    held_out: Predictions | None,
    equation: Equation,
) -> Attrition:
    """Describe who lacks the outcome, and vary what is assumed of them.

    Parameters
    ----------
    held_out
        What the chosen candidate said of the design's courses when it had not learned from them;
        None where nobody's outcome is known, and so nothing can be compared.
    equation
        The chosen candidate, developed on the whole design.
    """
    weights = design.given_weights
    without = enrolment.columns.select(~enrolment.reported)
    told = equation.compute_log_odds(without)[:, 0]
    scenarios = []
    if without.size and held_out is not None:
        ratios = study.attrition.odds_ratios
        scenarios = [vary_odds(ratio, held_out, told) for ratio in ratios]
    return Attrition(
        courses=enrolment.columns.size,
        missing=without.size,
        unmeasured=enrolment.unmeasured,
        gaps=tuple(compare_baseline(enrolment)),
        effective=None if weights is None else count_effective(weights),
        largest=None if weights is None else float(weights.max()),
        scenarios=tuple(scenarios),
        assumption=ASSUMPTION,
    )


def compare_baseline(enrolment: Enrolment) -> list[BaselineGap]:
    """Compare those who lack the outcome with those who do not; the largest differences first."""
    largest: dict[str, BaselineGap] = {}
    for gap in sorted(measure_gaps(enrolment), key=lambda gap: -abs(gap.difference)):
        largest.setdefault(gap.field, gap)
    return list(largest.values())[:MOST_GAPS]


def measure_gaps(enrolment: Enrolment) -> Iterator[BaselineGap]:
    """Measure the standardised difference of each feature, where enough have it on both sides."""
    for place, feature in enumerate(enrolment.features):
        values = enrolment.matrix[:, place].astype(np.float64)
        known = ~np.isnan(values)
        without, having = (
            values[known & side] for side in (~enrolment.reported, enrolment.reported)
        )
        if min(len(without), len(having)) < FEWEST_COMPARED:
            continue
        spread = np.sqrt((without.var() + having.var()) / 2)
        if spread > 0:
            label = enrolment.columns.dictionary.cohort_fields[feature.field].label
            difference = float((without.mean() - having.mean()) / spread)
            yield BaselineGap(
                field=feature.field, label=label, feature=feature.name, difference=difference
            )


def vary_odds(odds_ratio: float, held_out: Predictions, told: Numbers) -> Scenario:
    """Find base rate and calibration of all courses under one odds ratio.

    Parameters
    ----------
    told
        The model's log-odds of the courses that lack the outcome.
    """
    imputed = compute_probability(told + np.log(odds_ratio))
    log_odds = np.append(held_out.log_odds, told)
    expected = np.append(held_out.outcome, imputed)
    # Each course counts once, however often it was held out.
    weights = np.repeat([1 / held_out.repeats, 1.0], [len(held_out.outcome), len(told)])
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
