"""The candidate that starts from the literature, and what it shares with those that build on it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from features.base.arrays import Numbers
from features.model.equation import Equation
from training.candidates.base import Fit, Settings
from training.candidates.calibration import (
    NONE,
    Calibration,
    choose_calibration,
    gather_inner,
    place_losses,
)
from training.candidates.evidence.update import Update, update_literature
from training.study.design import Design
from training.study.split import Fold, split_inner


@dataclass(frozen=True)
class Updated:
    """A design, and what its courses make of the literature; each part is found when asked for."""

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
        """By the courses that each fold learns from."""
        learned = (self.design.select(fold.train) for fold in self.folds)
        return [update_literature(one, self.seed).equation for one in learned]


class Updates:
    """Finds updates of the literature, and remembers those of the last design.

    Finding them takes most of a fit. Candidates that share this find them once, if they are given
    the very same design. A copy in another process starts without any.
    """

    def __init__(self) -> None:
        self._last: Updated | None = None

    def find(self, design: Design, seed: int) -> Updated:
        """Find the updates of a design, or those that were found before."""
        last = self._last
        if last is None or last.design is not design or last.seed != seed:
            last = self._last = Updated(design, seed)
        return last

    def __reduce__(self) -> tuple[type["Updates"], tuple[()]]:
        return Updates, ()


@dataclass(frozen=True)
class EvidencePrior:
    """Starts from published effects and base rates; answers with no patient at all."""

    updates: Updates = field(default_factory=Updates)

    name = "evidence_prior"
    label = "published evidence, updated"

    def fit(self, design: Design, seed: int) -> Fit:
        """Find the posterior, and calibrate it where inner folds clearly ask for that."""
        updated = self.updates.find(design, seed)
        calibration, inner = calibrate_update(updated)
        settings = {**updated.whole.summarise(), **calibration.as_settings()}
        equation = calibration.apply_to(updated.whole.equation)
        return Fit(equation, settings, inner, updated.whole)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Find the posterior again, with the calibration given."""
        equation = self.updates.find(design, seed).whole.equation
        return Calibration.from_settings(settings).apply_to(equation)


def calibrate_update(updated: Updated) -> tuple[Calibration, Numbers | None]:
    """Choose the calibration on inner folds; none unless another is clearly better.

    Returns
    -------
    tuple
        The calibration, and the log loss of each course on those folds.
    """
    design, folds = updated.design, updated.folds
    if not folds:
        return NONE, None
    log_odds = [
        equation.compute_log_odds(design.columns.select(fold.test))[:, 0]
        for equation, fold in zip(updated.parts, folds, strict=True)
    ]
    chosen = choose_calibration(gather_inner(design, folds, np.concatenate(log_odds)), "none")
    return chosen.calibration, place_losses(design, folds, chosen.losses)
