"""The verdict on a model that met a cohort, and what must be known before it is believed."""

from collections.abc import Iterator, Mapping

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from training.findings.comparison import list_leakage_alarms
from training.findings.format import format_measure
from training.measures.logistic import logit
from training.measures.losses import compare_losses, compute_log_loss
from training.validation.external.encounter import Encounter

SAME_COURSES = (
    "The model learned from these very courses: this is apparent performance, not validation."
)
MIXED = (
    "Model and cohort are not of one kind: one is simulated, the other is real. Nothing here holds "
    "for anybody."
)


def list_alarms(encounter: Encounter, measures: Mapping[str, Measure]) -> Iterator[str]:
    """List what must be known before any number is believed."""
    simulated = encounter.model.card.simulated
    if encounter.known:
        yield SAME_COURSES
    if simulated != encounter.simulated:
        yield MIXED
    yield from list_leakage_alarms(measures["auc"].value, encounter.selection.target, simulated)


def write_verdict(encounter: Encounter, measures: Mapping[str, Measure]) -> str:
    """Write what was found, in three plain sentences."""
    return " ".join(
        [
            describe_level(encounter, measures["ratio"]),
            describe_ranking(encounter, measures),
            describe_proposal(encounter),
        ]
    )


def describe_level(encounter: Encounter, ratio: Measure) -> str:
    """Say whether as many had the outcome as were expected to."""
    said = encounter.predictions
    met = "that it learned from" if encounter.known else "that it never saw"
    if encounter.folds.any():
        met = "on which it was recalibrated fold by fold"
    observed, expected = (f"{100 * x.mean():.1f} %" for x in (said.outcome, said.probability))
    return (
        f"On {len(said.outcome)} courses {met}, {observed} had the outcome and {expected} were "
        f"expected to: a ratio of {format_measure(ratio, 2)}."
    )


def describe_ranking(encounter: Encounter, measures: Mapping[str, Measure]) -> str:
    """Say how it ranks, and whether it beats giving everybody one base rate."""
    said = encounter.predictions
    if said.is_constant:
        return "It gives everybody the same, so it has neither ranking nor slope."
    losses, others = (
        compute_log_loss(told, said.outcome) for told in (said.log_odds, tell_base_rate(encounter))
    )
    gap = compare_losses(losses, others, said.patients)
    kind = "beats" if gap.mean < -gap.error else "does not beat"
    source = "the other folds" if encounter.folds.any() else "its development"
    return (
        f"It ranks with an AUC of {format_measure(measures['auc'], 2)}, its calibration slope is "
        f"{format_measure(measures['slope'], 2)}, and it {kind} the base rate of {source}, given "
        f"to all: log loss differs by {gap.mean:+.4f} (standard error {gap.error:.4f})."
    )


def tell_base_rate(encounter: Encounter) -> Numbers:
    """Tell the log-odds of the base rate known before each course; ``[courses]``.

    That of the development; of a recalibration, which learns the level here, that of other folds.
    """
    outcome, folds = encounter.selection.outcome, encounter.folds
    rates = np.full(len(outcome), encounter.model.card.population.base_rate)
    if folds.any():
        for fold in np.unique(folds):
            rates[folds == fold] = outcome[folds != fold].mean()
    return logit(rates)


def describe_proposal(encounter: Encounter) -> str:
    """Say which recalibration is proposed, and why."""
    found = encounter.proposal
    if found.kind == "none":
        return f"No recalibration is proposed: {found.because}."
    stretched = f"times {found.slope:.3f}, " if found.kind == "both" else ""
    return f"Proposed: the log-odds {stretched}plus {found.intercept:.3f}; {found.because}."
