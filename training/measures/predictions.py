"""Predictions of courses, with the outcomes that they are judged by."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices, Numbers
from features.model.prediction import compute_probability
from training.measures.intervals import Patients, fill_weights
from training.measures.losses import compute_log_loss

# Log-odds nearer than this are equal but for rounding: they have no slope and no curve.
CONSTANT = 1e-9


@dataclass(frozen=True)
class Predictions:
    """Predictions and outcomes, ``[predictions]`` each: one per course, or one per repeat of it.

    Parameters
    ----------
    patients
        Number of each prediction's patient, from 0: the repeats of a course share it.
    groups
        Predictions are ranked against those of their own group alone: a fold of a repeat, a site.
    weights
        How much each course counts; None if all are equally weighted.
    repeats
        How often each course was predicted; the repeats follow each other, courses in one order.
    """

    log_odds: Numbers
    outcome: Numbers
    patients: Patients
    groups: NDArray[np.int64]
    weights: Numbers | None = None
    repeats: int = 1

    @classmethod
    def from_repeats(
        cls,
        log_odds: Numbers,
        folds: NDArray[np.int64],
        outcome: Numbers,
        patients: Patients,
        weights: Numbers | None = None,
    ) -> "Predictions":
        """Put the repeats of a cross-validation one after the other.

        Parameters
        ----------
        log_odds, folds
            ``[repeats, courses]``: predictions, and the fold in which each course was held out.
        """
        repeats = len(log_odds)
        # Fold 0 of one repeat is another model than fold 0 of the next: their predictions are not
        # ranked together.
        groups = folds + (folds.max() + 1) * np.arange(repeats)[:, None]
        return cls(
            log_odds.ravel(),
            np.tile(outcome, repeats),
            np.tile(patients, repeats),
            groups.ravel(),
            None if weights is None else np.tile(weights, repeats),
            repeats,
        )

    @property
    def probability(self) -> Numbers:
        """Predicted probabilities, ``[predictions]``."""
        return compute_probability(self.log_odds)

    @property
    def courses(self) -> tuple[Numbers, Numbers | None, Patients]:
        """Outcome, weights and patients, as estimates of a measure take them."""
        return self.outcome, self.weights, self.patients

    @property
    def weights_or_ones(self) -> Numbers:
        """How much each course counts; ones if all are equally weighted."""
        return fill_weights(self.weights, len(self.outcome))

    @property
    def is_constant(self) -> bool:
        """Whether all predictions of a group are the same, so that they do not discriminate."""
        return all(
            np.ptp(self.log_odds[self.groups == group]) < CONSTANT
            for group in np.unique(self.groups)
        )

    @property
    def size(self) -> int:
        """Number of courses."""
        return len(self.outcome) // self.repeats

    def select(self, rows: Flags | Indices) -> "Predictions":
        """Keep some predictions of a single repeat; patients are renumbered."""
        return Predictions(
            self.log_odds[rows],
            self.outcome[rows],
            np.unique(self.patients[rows], return_inverse=True)[1],
            self.groups[rows],
            None if self.weights is None else self.weights[rows],
        )

    def by_repeat(self, values: Numbers) -> Numbers:
        """Arrange values of the predictions as ``[repeats, courses]``."""
        return values.reshape(self.repeats, -1)

    def average_repeats(self) -> "Predictions":
        """Average the log-odds of repeats: one prediction per course."""
        first = self.select(np.arange(len(self.outcome)) < self.size)
        return replace(first, log_odds=self.by_repeat(self.log_odds).mean(axis=0))

    def compute_losses(self) -> Numbers:
        """Compute each course's log loss, averaged over repeats; ``[courses]``."""
        losses = compute_log_loss(self.log_odds, self.outcome)
        average: Numbers = self.by_repeat(losses).mean(axis=0)
        return average
