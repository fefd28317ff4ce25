"""The findings of an external validation."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import numpy as np

from features.base.arrays import Numbers
from features.intake.account import Account
from features.model.card import Measure, ModelCard
from features.model.prediction import compute_probability
from features.records.columns import concatenate_columns
from training.findings.findings import Findings, Flow, Performance, ValidationType
from training.measures.discrimination import count_pairs
from training.validation.attrition import Enrolment, describe_attrition
from training.validation.description import (
    Shown,
    count_prorated,
    describe_figures,
    share_recorded,
)
from training.validation.evidence import describe_performance
from training.validation.external.external import ExternalValidation, list_alarms, write_verdict
from training.validation.external.selection import Selection, describe_selection
from training.validation.flow import add_intake, describe_flow, list_reasons
from training.validation.limitations import list_limitations

# Widths of 95% intervals that a validation should reach (Riley et al., BMJ 2024;384:e074821, from
# memory, unverified).
_WIDTHS = {"ratio": ("O/E ratio", 0.2), "slope": ("slope", 0.3), "auc": ("AUC", 0.1)}


def describe_external(validation: ExternalValidation, account: Account | None = None) -> Findings:
    """Describe all that is known of a registered model on a cohort, before the gate judges it.

    Parameters
    ----------
    account
        Of the exports that the cohort was made of; None if that is not known.
    """
    card, predictions = validation.model.card, validation.predictions
    selection, proposal = validation.selection, validation.proposal
    performance = tuple(_list_performance(validation))
    measures = next(row.measures for row in performance if row.way == validation.type)
    findings = Findings(
        purpose="external",
        profile="full",
        card=card,
        version=validation.version,
        verdict=write_verdict(validation, measures),
        alarms=tuple(list_alarms(validation, measures)),
        cohort=describe_selection(selection),
        courses=predictions.size,
        events=int(predictions.outcome.sum()),
        patients=len(np.unique(predictions.patients)),
        simulated=card.simulated or validation.simulated,
        level=validation.settings.level,
        base_rate=float(predictions.outcome.mean()),
        performance=performance,
        attrition=describe_attrition(
            _arrange_enrolled(validation), predictions, validation.model.equation
        ),
        flow=_describe_selection_flow(selection, account),
        recorded=share_recorded(selection.columns, _list_fields(card)),
        prorated=count_prorated(selection.columns),
        bounds=validation.bounds,
        recalibration=None if proposal.kind == "none" else proposal,
        **_describe_figures(validation),
    )
    limitations = (
        *_describe_case_mix(validation),
        *_describe_precision(measures),
        *list_limitations(findings),
    )
    return findings.model_copy(update={"limitations": limitations})


def _describe_selection_flow(selection: Selection, account: Account | None) -> Flow:
    reasons = list_reasons(selection.excluded, selection.target)
    flow = describe_flow(selection.size, reasons, selection.columns, selection.outcome)
    return add_intake(flow, account)


def _list_fields(card: ModelCard) -> list[str]:
    features, ranges = ([facts.field for facts in part] for part in (card.features, card.ranges))
    return list(dict.fromkeys([*features, *(["site"] if card.sites else []), *ranges]))


def _list_performance(validation: ExternalValidation) -> Iterator[Performance]:
    settings = validation.settings
    for validation_type in get_args(ValidationType):
        if validation_type == validation.type:
            yield describe_performance(
                validation_type, validation.method, validation.predictions, settings
            )
        else:
            reason = "reported by the study that fitted the model"
            if validation_type == "external":
                reason = "the model was fitted on these courses"
            yield describe_performance(validation_type, "", None, settings, reason)


def _describe_figures(validation: ExternalValidation) -> dict[str, Any]:
    predictions, settings = validation.predictions, validation.settings
    shown = Shown(
        way=validation.type,
        predictions=predictions,
        columns=validation.selection.columns,
        estimates=predictions.probability,
        versions=compute_probability(validation.log_odds[:, 1:].T),
        method="stored with it",
        by_site=validation.group_by_site(),
    )
    return describe_figures(validation.model, shown, validation.bounds, settings)


def _arrange_enrolled(validation: ExternalValidation) -> Enrolment:
    selection = validation.selection
    columns = concatenate_columns([selection.columns, selection.awaiting])
    reported = np.arange(columns.size) < len(selection.outcome)
    # Courses excluded for other reasons are counted with these in the description of the cohort.
    unmeasured, settled = (selection.excluded.get(name, 0) for name in ("baseline", "no_change"))
    return Enrolment(columns, validation.model.card.features, reported, unmeasured, settled)


def _describe_case_mix(validation: ExternalValidation) -> Iterator[str]:
    card, selection = validation.model.card, validation.selection
    log_odds = validation.predictions.log_odds
    here, there = _show_share(selection.outcome.mean()), _show_share(card.population.base_rate)
    yield (
        f"The base rate is {here} here and was {there} in the development; the log-odds have a "
        f"mean of {log_odds.mean():.2f} and a standard deviation of {log_odds.std():.2f} here. "
        "The card does not state those of the development."
    )
    if outside := selection.excluded.get("outside", 0):
        yield (
            f"{_show_share(outside / selection.size)} of the cohort's courses lie outside the "
            "studied ranges: nothing here applies to them."
        )
    expected = _expect_auc(log_odds)
    if expected is not None:
        yield (
            f"Were every estimate true, the AUC would be {expected:.2f} here: the more homogeneous "
            "the patients, the lower the AUC that any model can reach."
        )
    fields = validation.model.equation.fields
    missing = [name for name in fields if selection.columns.find_missing(name).all()]
    if missing:
        known = selection.columns.dictionary.cohort_fields
        labels = ", ".join(known[name].label for name in missing)
        yield f"The model uses fields that the cohort never recorded: {labels}."


def _describe_precision(measures: Mapping[str, Measure]) -> Iterator[str]:
    wide = [
        f"{label} by {measure.high - measure.low:.2f} (wanted: {width:g})"
        for name, (label, width) in _WIDTHS.items()
        if (measure := measures.get(name)) is not None
        and measure.low is not None
        and measure.high is not None
        and measure.high - measure.low > width
    ]
    if wide:
        yield f"The cohort is small for a validation: intervals span {', '.join(wide)}."


def _expect_auc(log_odds: Numbers) -> float | None:
    """Compute the AUC that true estimates would reach; None if all are the same.

    The model-based concordance of van Klaveren et al. (Stat Med 2016;35:4136, from memory,
    unverified).

    >>> round(_expect_auc(np.array([0.0, np.log(3)])), 4)  # probabilities of 1/2 and 3/4
    0.75
    """
    if np.ptp(log_odds) == 0:
        return None
    probability = compute_probability(log_odds)
    concordant, pairs = count_pairs(log_odds, probability, np.ones((1, len(log_odds))))
    # count_pairs pairs each course with itself, too.
    with_itself = float((probability * (1 - probability)).sum())
    return float((concordant[0] - with_itself / 2) / (pairs[0] - with_itself))


def _show_share(share: float) -> str:
    return f"{100 * share:.1f}%"
