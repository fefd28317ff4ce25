"""The procedure: all that lies between courses and a model, repeatable on any courses.

Every candidate is fitted, with its tuning and calibration; one is chosen. The choice is by losses
on the inner folds on which candidates were tuned and calibrated, by the rule of one standard error
that the study itself uses: a cross-validation around each fit would cost five times as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from features.base.arrays import Numbers
from training.candidates.base import Candidate, Fit, Settings
from training.measures.losses import choose_candidate
from training.study.design import Design

# Inner folds of a re-development. Fewer than a study's own five: two hundred have to be paid for.
INNER_FOLDS = 3


@dataclass(frozen=True)
class UnitResult:
    """Which candidate one run of a procedure selected, and log-odds of the unit's test courses.

    Parameters
    ----------
    log_odds
        ``[courses]`` by each candidate, or by the selected one alone.
    """

    selected: str
    log_odds: Mapping[str, Numbers]

    @property
    def selected_log_odds(self) -> Numbers:
        """Log-odds by the selected candidate, ``[courses]``."""
        return self.log_odds[self.selected]


class Procedure(Protocol):
    """What is repeated."""

    def answer(self, learned: Design, asked: Design, seed: int) -> UnitResult:
        """Develop on some courses, and tell the log-odds of others."""


@dataclass(frozen=True)
class Contest:
    """Fits every candidate as the study does, and tells what each of them says.

    Parameters
    ----------
    candidates
        Those that the study compares, in its order of preference.
    """

    candidates: Mapping[str, Candidate]

    def answer(self, learned: Design, asked: Design, seed: int) -> UnitResult:
        """Develop all candidates, and tell what each says."""
        fits = fit_all(self.candidates, learned, seed)
        log_odds = {
            name: fit.equation.compute_log_odds(asked.columns)[:, 0] for name, fit in fits.items()
        }
        return UnitResult(pick_candidate(fits, learned), log_odds)


@dataclass(frozen=True)
class Redevelopment:
    """Fits every candidate on fewer inner folds, chooses one, and tells what that says."""

    candidates: Mapping[str, Candidate]

    def answer(self, learned: Design, asked: Design, seed: int) -> UnitResult:
        """Develop all candidates, choose one, and tell what it says."""
        fits = fit_all(self.candidates, replace(learned, inner_folds=INNER_FOLDS), seed)
        selected = pick_candidate(fits, learned)
        log_odds = fits[selected].equation.compute_log_odds(asked.columns)[:, 0]
        return UnitResult(selected, {selected: log_odds})


@dataclass(frozen=True)
class HeldRedevelopment:
    """Fits one candidate, all that it chose held: quick, and blind to the optimism of choosing."""

    candidate: Candidate
    settings: Settings

    def answer(self, learned: Design, asked: Design, seed: int) -> UnitResult:
        """Fit the candidate, and tell what it says."""
        equation = self.candidate.refit(learned, self.settings, seed)
        name = self.candidate.name
        return UnitResult(name, {name: equation.compute_log_odds(asked.columns)[:, 0]})


def fit_all(candidates: Mapping[str, Candidate], design: Design, seed: int) -> dict[str, Fit]:
    """Fit every candidate with the same inner folds."""
    return {name: candidate.fit(design, seed) for name, candidate in candidates.items()}


def pick_candidate(fits: Mapping[str, Fit], design: Design) -> str:
    """Choose by the losses on inner folds; the first preferred where there were none.

    Parameters
    ----------
    fits
        In the order of preference.
    """
    losses = {name: fit.inner for name, fit in fits.items() if fit.inner is not None}
    if not losses:
        return next(iter(fits))
    tested = np.all([np.isfinite(loss) for loss in losses.values()], axis=0)
    weights = None if design.given_weights is None else design.given_weights[tested]
    kept = {name: loss[tested] for name, loss in losses.items()}
    return choose_candidate(kept, design.patients[tested], weights)
