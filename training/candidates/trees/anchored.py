"""Boosted trees on top of the evidence: they fit only what linear evidence misses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.model.equation import Equation
from training.candidates.base import Candidate, Fit, Settings
from training.candidates.calibration import Calibration, calibrate_on_folds, gather_inner
from training.candidates.evidence.evidence_prior import calibrate_update, update_folds
from training.candidates.evidence.update import Update
from training.candidates.trees.trees import Choice, add_trees, choose_trees, grow_trees
from training.measures.losses import compare_losses
from training.study.design import Design
from training.study.split import Fold, draw_patients


@dataclass(frozen=True)
class _AnchoredPosterior:
    # The anchor is drawn from its posterior; trees have none, so each draw's are grown on resampled
    # patients.
    anchor: Update
    settings: Settings

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        design, drawn = self.anchor.design, self.anchor.draw(count, generator)
        start = self.anchor.equation
        trees = []
        for _ in range(count):
            rows = draw_patients(design, generator)
            seed = int(generator.integers(2**31))
            trees.append(grow_trees(design.select(rows), start, self.settings, seed))
        return replace(
            drawn, terms=replace(drawn.terms, trees=np.ones(count)), boosters=tuple(trees)
        )

    def redevelop(self, rows: NDArray[np.int64], seed: int) -> Equation:
        # The anchor alone: each draw has trees of its own anyway.
        return self.anchor.redevelop(rows, seed)


class AnchoredBoosted(Candidate):
    """Boosted trees grown on top of `evidence_prior`; none if they do not clearly help.

    No trees are grown unless they are better than none by more than a standard error on inner
    folds, so that few patients leave the anchor as it is.
    """

    name = "anchored_xgboost"
    label = "published evidence with boosted trees"
    colour = "#0b7a75"
    preference = 20
    has_posterior = True

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose settings, rounds and calibration on inner folds."""
        updated = update_folds(design, seed)
        anchor, folds = updated.whole, updated.folds
        choice = None
        if folds and design.features:
            choice = choose_trees(self.name, design, folds, updated.parts, self.tuning, seed)
        rounds = _count_rounds(choice, design, folds) if choice else 0
        if choice is None or not rounds:
            calibration, inner = calibrate_update(updated)
            settings = {"rounds": 0, **calibration.as_settings()}
            equation = calibration.apply_to(anchor.equation)
            return Fit(equation, settings, inner, anchor, choice.trials if choice else ())
        calibration, inner = calibrate_on_folds(design, folds, choice.log_odds, "none")
        settings = {**choice.settings, "rounds": rounds, **calibration.as_settings()}
        trees = grow_trees(design, anchor.equation, settings, seed)
        equation = calibration.apply_to(add_trees(anchor.equation, trees))
        return Fit(equation, settings, inner, _AnchoredPosterior(anchor, settings), choice.trials)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with settings, rounds and calibration given."""
        equation = update_folds(design, seed).whole.equation
        if settings["rounds"]:
            equation = add_trees(equation, grow_trees(design, equation, settings, seed))
        return Calibration.from_settings(settings).apply_to(equation)


def _count_rounds(choice: Choice, design: Design, folds: Sequence[Fold]) -> int:
    with_trees, without = (
        gather_inner(design, folds, log_odds) for log_odds in (choice.log_odds, choice.start)
    )
    losses, anchor_losses = with_trees.compute_losses(), without.compute_losses()
    gain = compare_losses(losses, anchor_losses, without.patients, without.weights)
    return choice.rounds if gain.mean < -gain.error else 0
