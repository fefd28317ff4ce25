"""The procedure: everything between courses and a model, repeatable on any courses.

Every candidate is fitted, with its tuning and calibration, and one is selected. The selection uses
losses on the inner folds on which candidates were tuned and calibrated, by the study's own
one-standard-error rule; a cross-validation around each fit would cost five times as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from features.base.arrays import Numbers
from training.candidates.base import Candidate, Fit, Settings
from training.measures.losses import choose_candidate
from training.study.design import Design
from training.study.study import Study

# Inner folds of a bootstrap refit: fewer than the study's five, since there are 200 refits.
_REFIT_FOLDS = 3


@dataclass(frozen=True)
class UnitResult:
    """Which candidate one run of a procedure selected, and log-odds of the unit's test courses.

    Parameters
    ----------
    log_odds
        ``[courses]`` by each candidate.
    """

    selected: str
    log_odds: Mapping[str, Numbers]

    @property
    def selected_log_odds(self) -> Numbers:
        """Log-odds by the selected candidate, ``[courses]``."""
        return self.log_odds[self.selected]


class Procedure(Protocol):
    """What is repeated."""

    def run(self, train: Design, test: Design, seed: int) -> UnitResult:
        """Develop a model on some courses and predict others."""


@dataclass(frozen=True)
class Contest:
    """The whole procedure: fits every candidate, selects one, and predicts by each.

    Parameters
    ----------
    candidates
        Those that the study compares, in its order of preference.
    inner_folds
        On which candidates are tuned and selected; None for as many as the design has.
    """

    candidates: Mapping[str, Candidate]
    inner_folds: int | None = None

    def run(self, train: Design, test: Design, seed: int) -> UnitResult:
        """Fit all candidates and predict by each."""
        train = replace(train, inner_folds=self.inner_folds or train.inner_folds)
        # One seed for all, so that they are tested on the same inner folds.
        fits = {name: candidate.fit(train, seed) for name, candidate in self.candidates.items()}
        log_odds = {
            name: fit.equation.compute_log_odds(test.columns)[:, 0] for name, fit in fits.items()
        }
        return UnitResult(select_candidate(fits, train), log_odds)


@dataclass(frozen=True)
class FixedRefit:
    """Fits one candidate, hyperparameters fixed: quick, and blind to the optimism of selection."""

    candidate: Candidate
    settings: Settings

    def run(self, train: Design, test: Design, seed: int) -> UnitResult:
        """Fit the candidate and predict by it."""
        equation = self.candidate.refit(train, self.settings, seed)
        name = self.candidate.name
        return UnitResult(name, {name: equation.compute_log_odds(test.columns)[:, 0]})


def choose_procedure(
    study: Study, candidates: Mapping[str, Candidate], name: str, fit: Fit
) -> Procedure:
    """Choose what a study's profile repeats: the whole procedure, or the chosen candidate's fit."""
    if study.validation.profile == "quick":
        return FixedRefit(candidates[name], fit.settings)
    return Contest({name: candidates[name] for name in study.candidates}, _REFIT_FOLDS)


def select_candidate(fits: Mapping[str, Fit], design: Design) -> str:
    """Select by the losses on inner folds; without inner folds, the most preferred.

    Parameters
    ----------
    fits
        In the order of preference.
    """
    losses = {name: fit.inner for name, fit in fits.items() if fit.inner is not None}
    if not losses:
        return next(iter(fits))
    # A course in no inner fold's test part has no loss, and the losses are compared pairwise.
    tested = np.all([np.isfinite(loss) for loss in losses.values()], axis=0)
    weights = None if design.given_weights is None else design.given_weights[tested]
    tested_losses = {name: loss[tested] for name, loss in losses.items()}
    return choose_candidate(tested_losses, design.patients[tested], weights)
