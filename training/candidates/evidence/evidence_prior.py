"""The candidate that starts from published evidence, and what those on top of it share."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from features.base.arrays import Numbers
from features.model.equation import Equation
from training.candidates.base import Candidate, Fit, Settings
from training.candidates.calibration import NONE, Calibration, calibrate_on_folds
from training.candidates.evidence.update import Update, update_literature
from training.study.design import Design
from training.study.split import Fold, split_inner


@dataclass(frozen=True)
class Updated:
    """The literature updated by a design, as a whole and by fold; each computed when first used."""

    design: Design
    seed: int

    @cached_property
    def whole(self) -> Update:
        """By all courses."""
        return update_literature(self.design, self.seed)

    @cached_property
    def folds(self) -> list[Fold]:
        """The inner folds."""
        return split_inner(self.design, self.seed)

    @cached_property
    def parts(self) -> list[Equation]:
        """By the training part of each fold."""
        learned = (self.design.select(fold.train) for fold in self.folds)
        return [update_literature(part, self.seed).equation for part in learned]


# Updates take most of a fit, and two candidates start from them: both are given the very same
# design, one after the other, so the last one is kept. A design is known by its identity.
@lru_cache(maxsize=1)
def update_folds(design: Design, seed: int) -> Updated:
    """Update the literature by a design's courses, as a whole and without each inner fold."""
    return Updated(design, seed)


class EvidencePrior(Candidate):
    """Bayesian logistic regression that starts from published evidence; needs no outcome."""

    name = "evidence_prior"
    label = "published evidence, updated"
    colour = "#7b3294"
    preference = 10
    needs_outcomes = False
    has_posterior = True

    def fit(self, design: Design, seed: int) -> Fit:
        """Compute the posterior, and calibrate it if inner folds clearly ask for that."""
        updated = update_folds(design, seed)
        calibration, inner = calibrate_update(updated)
        settings = {**updated.whole.summarise(), **calibration.as_settings()}
        equation = calibration.apply_to(updated.whole.equation)
        return Fit(equation, settings, inner, updated.whole)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Compute the posterior again, with the calibration given."""
        equation = update_folds(design, seed).whole.equation
        return Calibration.from_settings(settings).apply_to(equation)


def calibrate_update(updated: Updated) -> tuple[Calibration, Numbers | None]:
    """Choose the calibration on inner folds; none unless another kind is clearly better.

    Returns also each course's log loss on those folds, ``[courses]``; None without folds.
    """
    design, folds = updated.design, updated.folds
    if not folds:
        return NONE, None
    log_odds = [
        equation.compute_log_odds(design.columns.select(fold.test))[:, 0]
        for equation, fold in zip(updated.parts, folds, strict=True)
    ]
    # Preferably none: a posterior is calibrated if its model is right.
    return calibrate_on_folds(design, folds, np.concatenate(log_odds), "none")
