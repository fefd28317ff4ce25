"""Candidates: the kinds of model that a study compares."""

from collections.abc import Mapping
from types import MappingProxyType

from training.candidates.anchored import AnchoredBoosted
from training.candidates.base import Candidate, Fit
from training.candidates.base_rate import BaseRate
from training.candidates.boosted import Boosted
from training.candidates.evidence_prior import EvidencePrior
from training.candidates.logistic import ElasticNet, SeverityOnly

CANDIDATES: Mapping[str, Candidate] = MappingProxyType(
    {
        candidate.name: candidate
        for candidate in (
            EvidencePrior(),
            AnchoredBoosted(),
            ElasticNet(),
            Boosted(),
            SeverityOnly(),
            BaseRate(),
        )
    }
)

# Those that know their own uncertainty; the others are developed again on resampled patients.
WITH_POSTERIOR = ("evidence_prior", "anchored_xgboost")

__all__ = ["CANDIDATES", "WITH_POSTERIOR", "Candidate", "Fit"]
