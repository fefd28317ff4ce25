"""A registered model tested on a cohort: what it said of each course, and what came of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.model.card import ModelCard
from features.model.equation import ALL_VERSIONS
from features.model.prediction import compute_probability
from features.model.response_model import ResponseModel
from features.records.cohort import digest_cohort
from features.records.columns import Columns
from training.findings.card import is_simulated
from training.findings.comparison import MEASURE_SEED
from training.findings.findings import ValidationType
from training.measures.performance import IntervalSettings
from training.measures.predictions import Predictions
from training.study.design import number_sites
from training.study.parts import GatePart
from training.study.split import derive_seed
from training.validation.external.closed_test import ClosedTest, propose_nothing, run_closed_test
from training.validation.selection import Selection, select_courses

RESAMPLES, LEVEL = 1000, 0.95
AS_IT_IS = "the registered model as it is"


@dataclass(frozen=True)
class Encounter:
    """What a model said of a cohort's courses.

    Parameters
    ----------
    version
        In the registry; None before it has one.
    log_odds
        ``[courses, versions]``, the model itself first.
    folds
        ``int64[courses]``: courses are ranked against those of their own fold.
    digest
        SHA-256 of the cohort's canonical content.
    known
        Whether the model learned from these very courses.
    simulated
        Whether the cohort is.
    bounds
        What the gate asks.
    proposal
        What the closed test proposes.
    """

    model: ResponseModel
    version: str | None
    selection: Selection
    log_odds: Numbers
    folds: NDArray[np.int64]
    method: str
    digest: str
    known: bool
    simulated: bool
    bounds: GatePart
    proposal: ClosedTest

    @property
    def way(self) -> ValidationType:
        """The way of testing that this is."""
        return "apparent" if self.known else "external"

    @property
    def settings(self) -> IntervalSettings:
        """How intervals are made."""
        seed = derive_seed(self.model.card.seed, MEASURE_SEED)
        return IntervalSettings(RESAMPLES, LEVEL, seed)

    @property
    def predictions(self) -> Predictions:
        """Predictions by the model itself."""
        chosen = self.selection
        return Predictions(self.log_odds[:, 0], chosen.outcome, chosen.patients, self.folds)

    @property
    def versions(self) -> Numbers:
        """Probabilities by the model's stored versions, ``[versions, courses]``."""
        return compute_probability(self.log_odds[:, 1:].T)

    def by_site(self) -> tuple[Predictions, tuple[str, ...]] | None:
        """Return predictions at known sites, grouped by site; None for fewer than two."""
        sites, names = number_sites(self.selection.columns)
        if len(names) < 2:
            return None
        return replace(self.predictions, groups=sites).select(sites >= 0), names


def meet_cohort(
    model: ResponseModel, version: str | None, cohort: Columns, bounds: GatePart
) -> Encounter:
    """Test a model on a cohort.

    Raises
    ------
    CohortError
        If no course, or only one class, is left to test it on.
    """
    selection = select_courses(model.card, cohort)
    log_odds = model.equation.compute_log_odds(selection.columns, ALL_VERSIONS)
    known = learned_from(model.card, cohort)
    proposal = run_closed_test(log_odds[:, 0], selection.outcome)
    if known:
        proposal = propose_nothing(1.0, None, "the model learned from these courses")
    return Encounter(
        model=model,
        version=version,
        selection=selection,
        log_odds=log_odds,
        folds=np.zeros(len(log_odds), dtype=np.int64),
        method=AS_IT_IS,
        digest=digest_cohort(cohort),
        known=known,
        simulated=is_simulated(cohort),
        bounds=bounds,
        proposal=proposal,
    )


def learned_from(card: ModelCard, cohort: Columns) -> bool:
    """Tell whether a model was developed, or recalibrated, on this very cohort.

    Studies may keep some conditions alone, so that part of the cohort counts, too.
    """
    digests = {card.data_digest, *(one.data_digest for one in card.recalibrated)}
    ranges: Mapping[str, tuple[str, ...]] = {one.field: one.categories for one in card.ranges}
    names = card.dictionary.fields["condition"].categories
    studied = [names.index(name) for name in ranges.get("condition", ())]
    part = cohort.select(np.isin(cohort.get_numbers("condition"), studied))
    return digest_cohort(cohort) in digests or digest_cohort(part) in digests
