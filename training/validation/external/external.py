"""External validation: a registered model on a cohort that it was not fitted on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from features.base.arrays import Indices, Numbers
from features.model.card import Measure, ModelCard
from features.model.equation import ALL_VERSIONS
from features.model.response_model import ResponseModel
from features.records.cohort import digest_cohort
from features.records.columns import Columns
from training.findings.comparison import list_leakage_alarms, list_published_alarms
from training.findings.findings import ValidationType
from training.findings.format import format_measure
from training.measures.bootstrap import IntervalSettings
from training.measures.closed_test import RecalibrationFacts, propose, run_closed_test
from training.measures.logistic import logit
from training.measures.losses import compare_losses, compute_log_loss
from training.measures.predictions import Predictions
from training.study.design import is_simulated, number_sites
from training.study.parts import MEASURE_LEVEL, GatePart
from training.study.seeds import MEASURE_SEED, derive_seed
from training.validation.external.selection import Selection, select_courses

# As in a study by default: there is no study here that could set it.
_RESAMPLES = 1000
_SAME_COURSES = (
    "The model was fitted on these very courses: this is apparent performance, not validation."
)
_MIXED = (
    "Model and cohort are of different kinds: one is simulated, the other is real. Nothing here "
    "applies to any patient."
)


@dataclass(frozen=True)
class ExternalValidation:
    """Predictions of a cohort by a registered model.

    Parameters
    ----------
    version
        In the registry; None before it is registered.
    log_odds
        ``[courses, versions]``, the model itself first.
    folds
        ``[courses]``: courses are ranked within their own fold. All 0 unless recalibrated.
    digest
        SHA-256 of the cohort's canonical content.
    known
        Whether the model was fitted on these very courses.
    simulated
        Whether the cohort is.
    """

    model: ResponseModel
    version: str | None
    selection: Selection
    log_odds: Numbers
    folds: Indices
    method: str
    digest: str
    known: bool
    simulated: bool
    bounds: GatePart
    proposal: RecalibrationFacts

    @property
    def type(self) -> ValidationType:
        """The type of validation that this is."""
        return "apparent" if self.known else "external"

    @property
    def settings(self) -> IntervalSettings:
        """How intervals are made."""
        seed = derive_seed(self.model.card.seed, MEASURE_SEED)
        return IntervalSettings(_RESAMPLES, MEASURE_LEVEL, seed)

    @property
    def predictions(self) -> Predictions:
        """Predictions by the model itself."""
        selection = self.selection
        return Predictions(self.log_odds[:, 0], selection.outcome, selection.patients, self.folds)

    def group_by_site(self) -> tuple[Predictions, tuple[str, ...]] | None:
        """Return predictions grouped by site, with the sites' names; None if fewer than two."""
        sites, names = number_sites(self.selection.columns)
        if len(names) < 2:
            return None
        return replace(self.predictions, groups=sites).select(sites >= 0), names


def validate_on_cohort(
    model: ResponseModel, version: str | None, cohort: Columns, bounds: GatePart
) -> ExternalValidation:
    """Predict a cohort by a model, and test whether it needs recalibration there.

    Raises
    ------
    CohortError
        If no eligible course, or only one class, is there to test it on.
    """
    selection = select_courses(model.card, cohort)
    log_odds = model.equation.compute_log_odds(selection.columns, ALL_VERSIONS)
    known = _is_fitted_on(model.card, cohort)
    proposal = run_closed_test(log_odds[:, 0], selection.outcome)
    if known:
        proposal = propose("none", 1.0, None, "the model was fitted on these courses")
    return ExternalValidation(
        model=model,
        version=version,
        selection=selection,
        log_odds=log_odds,
        folds=np.zeros(len(log_odds), dtype=np.int64),
        method="the registered model as it is",
        digest=digest_cohort(cohort),
        known=known,
        simulated=is_simulated(cohort),
        bounds=bounds,
        proposal=proposal,
    )


def _is_fitted_on(card: ModelCard, cohort: Columns) -> bool:
    digests = {card.data_digest, *(facts.data_digest for facts in card.recalibrated)}
    categories: Mapping[str, tuple[str, ...]] = {
        studied.field: studied.categories for studied in card.ranges
    }
    names = card.dictionary.fields["condition"].categories
    # A study may keep some conditions only: then its digest is that of a part of the cohort.
    positions = [names.index(name) for name in categories.get("condition", ())]
    part = cohort.select(np.isin(cohort.get_numbers("condition"), positions))
    return digest_cohort(cohort) in digests or digest_cohort(part) in digests


def list_alarms(validation: ExternalValidation, measures: Mapping[str, Measure]) -> Iterator[str]:
    """List what invalidates the numbers."""
    is_model_simulated = validation.model.card.simulated
    if validation.known:
        yield _SAME_COURSES
    if is_model_simulated != validation.simulated:
        yield _MIXED
    yield from list_published_alarms(validation.model.card)
    target = validation.selection.target
    yield from list_leakage_alarms(measures["auc"], target, is_model_simulated)


def write_verdict(validation: ExternalValidation, measures: Mapping[str, Measure]) -> str:
    """Write three sentences: on calibration, discrimination and recalibration."""
    return " ".join(
        [
            _describe_ratio(validation, measures["ratio"]),
            _describe_auc(validation, measures),
            _describe_proposal(validation.proposal),
        ]
    )


def _describe_ratio(validation: ExternalValidation, ratio: Measure) -> str:
    predictions = validation.predictions
    cohort = "that it was fitted on" if validation.known else "that it was not fitted on"
    if validation.folds.any():
        cohort = "on which it was recalibrated fold by fold"
    observed, expected = (
        f"{100 * values.mean():.1f}%" for values in (predictions.outcome, predictions.probability)
    )
    return (
        f"On {predictions.size} courses {cohort}, {observed} had the outcome and {expected} were "
        f"expected to: an O/E ratio of {format_measure(ratio, 2)}."
    )


def _describe_auc(validation: ExternalValidation, measures: Mapping[str, Measure]) -> str:
    predictions = validation.predictions
    if predictions.is_constant:
        return "Its prediction is constant: it does not discriminate and has no slope."
    losses, base_losses = (
        compute_log_loss(log_odds, predictions.outcome)
        for log_odds in (predictions.log_odds, _predict_base_rate(validation))
    )
    gap = compare_losses(losses, base_losses, predictions.patients)
    verb = "beats" if gap.mean < -gap.error else "does not beat"
    source = "the other folds" if validation.folds.any() else "its development"
    return (
        f"Its AUC is {format_measure(measures['auc'], 2)}, its calibration slope "
        f"{format_measure(measures['slope'], 2)}. It {verb} the base rate of {source}: log loss "
        f"differs by {gap.mean:+.4f} (standard error {gap.error:.4f})."
    )


def _predict_base_rate(validation: ExternalValidation) -> Numbers:
    outcome, folds = validation.selection.outcome, validation.folds
    rates = np.full(len(outcome), validation.model.card.population.base_rate)
    # A recalibration estimates the base rate here: it must beat that of the same training folds.
    if folds.any():
        for fold in np.unique(folds):
            rates[folds == fold] = outcome[folds != fold].mean()
    return logit(rates)


def _describe_proposal(proposal: RecalibrationFacts) -> str:
    if proposal.kind == "none":
        return f"No recalibration is proposed: {proposal.because}."
    stretched = f"times {proposal.slope:.3f}, " if proposal.kind == "both" else ""
    shifted = f"the log-odds {stretched}plus {proposal.intercept:.3f}"
    return f"Proposed: {shifted}; {proposal.because}."
