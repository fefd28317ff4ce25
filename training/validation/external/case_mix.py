"""Case mix: how a cohort differs from the courses that a model was developed on."""

from collections.abc import Iterator, Mapping

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure, ModelCard
from features.model.equation import Equation
from features.model.prediction import compute_probability
from training.measures.discrimination import count_pairs
from training.validation.selection import Selection

# Widths of 95 % intervals that a validation should reach (Riley et al., BMJ 2024;384:e074821,
# recalled).
WIDTHS = {"ratio": 0.2, "slope": 0.3, "auc": 0.1}
LABELS = {"ratio": "observed over expected", "slope": "the slope", "auc": "the AUC"}


def describe_case_mix(
    card: ModelCard, equation: Equation, selection: Selection, log_odds: Numbers
) -> Iterator[str]:
    """Say how the cohort differs from the development, as far as its card tells.

    Parameters
    ----------
    log_odds
        ``[courses]``, as the model says them.
    """
    share, known = selection.outcome.mean(), card.population.base_rate
    yield (
        f"The base rate is {show(share)} here and was {show(known)} in the development; the "
        f"log-odds have a mean of {log_odds.mean():.2f} and a standard deviation of "
        f"{log_odds.std():.2f} here. The card does not tell those of the development."
    )
    outside = selection.aside.get("outside", 0)
    if outside:
        yield (
            f"{show(outside / selection.size)} of the cohort's courses lie outside what was "
            "studied: nothing here holds for them."
        )
    expected = expect_auc(log_odds)
    if expected is not None:
        yield (
            f"Were every estimate true, the AUC would be {expected:.2f} here: a cohort of patients "
            "more alike cannot be ranked better."
        )
    absent = [name for name in equation.fields if selection.columns.find_missing(name).all()]
    if absent:
        fields = selection.columns.dictionary.cohort_fields
        labels = ", ".join(fields[name].label for name in absent)
        yield f"The model reads what the cohort never recorded: {labels}."


def describe_precision(measures: Mapping[str, Measure]) -> Iterator[str]:
    """Say what the cohort is too small to tell."""
    wide = [
        f"{LABELS[name]} by {found.high - found.low:.2f} (asked: {width:g})"
        for name, width in WIDTHS.items()
        if (found := measures.get(name)) is not None
        and found.low is not None
        and found.high is not None
        and found.high - found.low > width
    ]
    if wide:
        yield f"The cohort is small for a validation: intervals span {', '.join(wide)}."


def expect_auc(log_odds: Numbers) -> float | None:
    """Compute the AUC that true estimates would reach; None where all are alike.

    The model-based concordance of van Klaveren et al. (Stat Med 2016;35:4136, recalled).

    Examples
    --------
    >>> round(expect_auc(np.array([0.0, np.log(3)])), 4)  # probabilities of 1/2 and 3/4
    0.75
    """
    if np.ptp(log_odds) == 0:
        return None
    probability = compute_probability(log_odds)
    right, pairs = count_pairs(log_odds, probability, np.ones((1, len(log_odds))))
    with_itself = float((probability * (1 - probability)).sum())
    return float((right[0] - with_itself / 2) / (pairs[0] - with_itself))


def show(share: float) -> str:
    """Show a share in per cent."""
    return f"{100 * share:.1f} %"
