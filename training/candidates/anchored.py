"""Boosted trees on top of the evidence: they learn only what the linear evidence misses."""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from features.equation import Equation
from training.calibration import NONE, Calibration, HeldBack, choose_calibration
from training.candidates.base import Fit, Settings
from training.candidates.evidence_prior import Update, update_literature
from training.candidates.trees import (
    Choice,
    add_trees,
    choose_trees,
    grow_trees,
)
from training.design import Design
from training.evaluate import compare_losses
from training.split import draw_patients, split_inner
from training.tuning import UNTUNED, Tuning

NO_TREES: Settings = MappingProxyType({"rounds": 0})


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


@dataclass(frozen=True)
class AnchoredBoosted:
    """XGBoost boosted from the margin of the evidence.

    No trees are grown unless they are better than none by more than a standard error on inner
    folds, so that few patients leave the anchor as it is.
    """

    tuning: Tuning = UNTUNED

    name = "anchored_xgboost"
    label = "published evidence with boosted trees"

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose settings, rounds and calibration on inner folds."""
        anchor, folds = update_literature(design, seed), split_inner(design, seed)
        if not folds or not design.features:
            return Fit(anchor.equation, {**NO_TREES, **NONE.as_settings()}, anchor)

        def begin(part: Design) -> Equation:
            return update_literature(part, seed).equation

        tried = choose_trees(self.name, design, folds, begin, self.tuning, seed)
        rounds = count_rounds(tried, design, np.concatenate([fold.test for fold in folds]))
        said = HeldBack.gather(design, folds, tried.margins[:, rounds])
        calibration = choose_calibration(said, "none")
        if not rounds:
            settings = {**NO_TREES, **calibration.as_settings()}
            return Fit(calibration.apply_to(anchor.equation), settings, anchor, tried.trials)
        settings = {**tried.settings, "rounds": rounds, **calibration.as_settings()}
        trees = grow_trees(design, anchor.equation, settings, seed)
        equation = calibration.apply_to(add_trees(anchor.equation, trees))
        return Fit(equation, settings, AnchoredPosterior(anchor, settings), tried.trials)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with settings, rounds and calibration given."""
        equation = update_literature(design, seed).equation
        if settings["rounds"]:
            equation = add_trees(equation, grow_trees(design, equation, settings, seed))
        return Calibration.from_settings(settings).apply_to(equation)


def count_rounds(tried: Choice, design: Design, rows: NDArray[np.int64]) -> int:
    """Count the rounds that do best on inner folds; none unless they clearly help.

    Parameters
    ----------
    rows
        Of the courses in the folds' tests.
    """
    patients, weights = design.patients[rows], design.weights[rows]
    gain = compare_losses(tried.best, tried.losses[:, 0], patients, weights)
    return tried.rounds if gain.mean < -gain.error else 0
