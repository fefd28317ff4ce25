"""Candidates: the kinds of model that a study compares."""

from collections.abc import Mapping
from types import MappingProxyType

from training.candidates.base import Candidate, Fit
from training.candidates.base_rate import BaseRate
from training.candidates.evidence.evidence_prior import EvidencePrior, Updates
from training.candidates.linear.logistic import ElasticNet, SeverityOnly
from training.candidates.trees.anchored import AnchoredBoosted
from training.candidates.trees.boosted import Boosted
from training.candidates.tuning import UNTUNED, Tuning


def make_candidates(tuning: Tuning) -> Mapping[str, Candidate]:
    """Make every kind, in the order of preference.

    Parameters
    ----------
    tuning
        For those that grow trees.
    """
    updates = Updates()
    made = (
        EvidencePrior(updates),
        AnchoredBoosted(tuning, updates),
        ElasticNet(),
        Boosted(tuning),
        SeverityOnly(),
        BaseRate(),
    )
    return MappingProxyType({candidate.name: candidate for candidate in made})


CANDIDATES = make_candidates(UNTUNED)

# Those that know their own uncertainty; the others are developed again on resampled patients.
WITH_POSTERIOR = ("evidence_prior", "anchored_xgboost")
# Those that need nobody's outcome. Trees on top of the evidence would be the evidence alone.
WITHOUT_OUTCOMES = ("evidence_prior", "base_rate")

__all__ = [
    "CANDIDATES",
    "WITHOUT_OUTCOMES",
    "WITH_POSTERIOR",
    "Candidate",
    "Fit",
    "make_candidates",
]
