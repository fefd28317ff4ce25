"""Boosted trees on top of the evidence: they learn only what the linear evidence misses."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.equation import Equation
from training.calibration import NONE, Calibration, HeldBack, choose_calibration
from training.candidates.base import Fit, Settings
from training.candidates.boosted import (
    add_trees,
    average_losses,
    compute_losses,
    follow_depths,
    grow_trees,
)
from training.candidates.evidence_prior import Update, update_literature
from training.design import Design
from training.evaluate import compare_losses
from training.split import draw_patients, split_inner


@dataclass(frozen=True)
class AnchoredPosterior:
    """The anchor's posterior, each draw with trees grown on other patients."""

    anchor: Update
    settings: Settings

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        """Draw equations with their own trees."""
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
        """Find the anchor again on resampled courses; each draw has trees of its own anyway."""
        return self.anchor.redevelop(rows, seed)


class AnchoredBoosted:
    """XGBoost boosted from the margin of the evidence.

    No trees are grown unless they are better than none by more than a standard error on inner
    folds, so that few patients leave the anchor as it is.
    """

    name = "anchored_xgboost"
    label = "published evidence with boosted trees"

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose depth, rounds and calibration on inner folds."""
        anchor, settings = update_literature(design, seed), choose_trees(design, seed)
        calibration = Calibration.from_settings(settings)
        if not settings["rounds"]:
            return Fit(calibration.apply_to(anchor.equation), settings, anchor)
        trees = grow_trees(design, anchor.equation, settings, seed)
        equation = calibration.apply_to(add_trees(anchor.equation, trees))
        return Fit(equation, settings, AnchoredPosterior(anchor, settings))

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with depth, rounds and calibration given."""
        start = update_literature(design, seed).equation
        grown = add_trees(start, grow_trees(design, start, settings, seed))
        return Calibration.from_settings(settings).apply_to(grown)


def choose_trees(design: Design, seed: int) -> Settings:
    """Choose by log loss on inner folds; no rounds unless they clearly help."""
    none = {"depth": 0.0, "rounds": 0.0}
    folds = split_inner(design, seed)
    if not folds or not design.features:
        return none | NONE.as_settings()
    rows = np.concatenate([fold.test for fold in folds])
    tried = follow_depths(design, folds, lambda part: update_literature(part, seed).equation, seed)
    losses = {
        depth: compute_losses(margins, design.outcome[rows]) for depth, margins in tried.items()
    }
    weights = design.weights[rows]
    means = {depth: average_losses(loss, weights) for depth, loss in losses.items()}
    depth = min(means, key=lambda one: means[one].min())
    rounds, found = int(means[depth].argmin()), losses[depth]
    gain = compare_losses(found[:, rounds], found[:, 0], design.patients[rows], weights)
    helped = gain.mean < -gain.error
    log_odds = tried[depth][:, rounds if helped else 0]
    calibration = choose_calibration(HeldBack.gather(design, folds, log_odds), "none")
    grown = {"depth": depth, "rounds": rounds} if helped else none
    return grown | calibration.as_settings()
