"""Boosted trees: the only file of training that names XGBoost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from features.equation import Equation
from training.calibration import SAYS_NOTHING, Calibration, HeldBack, choose_calibration
from training.candidates.base import (
    Fit,
    Settings,
    make_constant,
    make_equation,
)
from training.design import Design
from training.evidence import SIGNS, SITE_SPREAD
from training.split import Fold, split_inner

Numbers = NDArray[np.float64]
Start = Callable[[Design], Equation]

DEPTHS = (1, 3)
MOST_ROUNDS = 400
PATIENCE = 30
# No scale_pos_weight: it would ruin the probabilities.
FIXED_PARAMETERS = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 4.0,
    "lambda": 5.0,
    "tree_method": "hist",
    "nthread": 1,
    "base_score": 0.5,
}


class Boosted:
    """XGBoost with native missing values, evidenced signs and strong shrinkage.

    Trees start from the base rate and, where offered, from the sites' shrunken effects; they never
    see which site a course belongs to.
    """

    name = "xgboost"
    label = "boosted trees"

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose depth and rounds by log loss on inner folds, and calibrate on them."""
        folds = split_inner(design, seed)
        if not folds or not design.features:
            return Fit(make_constant(design), SAYS_NOTHING.as_settings())
        rows = np.concatenate([fold.test for fold in folds])
        outcome, weights = design.outcome[rows], design.weights[rows]
        tried = follow_depths(design, folds, fit_start, seed)
        losses = {
            (depth, rounds): loss
            for depth, margins in tried.items()
            for rounds, loss in enumerate(average_losses(compute_losses(margins, outcome), weights))
        }
        depth, rounds = min(losses, key=lambda choice: losses[choice])
        said = HeldBack.gather(design, folds, tried[depth][:, rounds])
        calibration = choose_calibration(said, "logistic")
        settings = {"depth": depth, "rounds": rounds} | calibration.as_settings()
        return Fit(self.refit(design, settings, seed), settings)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with depth, rounds and calibration given."""
        calibration = Calibration.from_settings(settings)
        if calibration.says_nothing or np.ptp(design.outcome) == 0:
            return make_constant(design)
        start = fit_start(design)
        trees = grow_trees(design, start, settings, seed)
        return calibration.apply_to(add_trees(start, trees))


def grow_trees(design: Design, start: Equation, settings: Settings, seed: int) -> Any:
    """Grow trees of a given depth for a given number of rounds from where an equation ends."""
    offset = start.compute_log_odds(design.columns)[:, 0]
    parameters = make_parameters(design, int(settings["depth"]), seed)
    return xgboost.train(parameters, make_data(design, offset), int(settings["rounds"]))


def add_trees(start: Equation, trees: Any) -> Equation:
    """Add trees to an equation of one version."""
    if not trees.num_boosted_rounds():
        return start
    return replace(start, terms=replace(start.terms, trees=np.ones(1)), boosters=(trees,))


def make_parameters(design: Design, depth: int, seed: int) -> dict[str, Any]:
    """Build XGBoost's parameters, with the evidenced sign of each feature."""
    signs = tuple(SIGNS.get(feature.name, 0) for feature in design.features)
    return FIXED_PARAMETERS | {"max_depth": depth, "seed": seed, "monotone_constraints": signs}


def make_data(design: Design, offset: Numbers) -> Any:
    """Build XGBoost's matrix, starting from an offset in log-odds."""
    return xgboost.QuantileDMatrix(
        design.matrix,
        label=design.outcome,
        weight=design.given_weights,
        base_margin=offset,
        nthread=1,
    )


def follow_depths(design: Design, folds: list[Fold], begin: Start, seed: int) -> dict[int, Numbers]:
    """Compute the log-odds of courses not learned from, before and after each round.

    Parameters
    ----------
    begin
        Fits the equation that the trees start from.

    Returns
    -------
    dict
        For each depth ``float64[courses in the folds' tests, 1 + rounds]``.
    """
    followed: dict[int, list[Numbers]] = {depth: [] for depth in DEPTHS}
    for fold in folds:
        train, test = design.select(fold.train), design.select(fold.test)
        start = begin(train)
        for depth, parts in followed.items():
            parts.append(follow_rounds(train, test, start, make_parameters(design, depth, seed)))
    return {depth: np.concatenate(parts) for depth, parts in followed.items()}


def follow_rounds(
    train: Design, test: Design, start: Equation, parameters: dict[str, Any]
) -> Numbers:
    """Do so for one fold; after its early stop the log-odds stay as they are."""
    offset, reached = (start.compute_log_odds(part.columns)[:, 0] for part in (train, test))
    judged = xgboost.DMatrix(
        test.matrix, label=test.outcome, weight=test.given_weights, base_margin=reached
    )
    booster = xgboost.train(
        parameters,
        make_data(train, offset),
        MOST_ROUNDS,
        evals=[(judged, "test")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    steps = [
        booster.inplace_predict(
            test.matrix, iteration_range=(done, done + 1), predict_type="margin"
        )
        for done in range(booster.num_boosted_rounds())
    ]
    steps += [np.zeros(test.size)] * (MOST_ROUNDS - len(steps))
    return np.cumsum(np.column_stack([reached, *steps]), axis=1, dtype=np.float64)


def compute_losses(margins: Numbers, outcome: Numbers) -> Numbers:
    """Compute each course's log loss after each round, as ``[courses, 1 + rounds]``."""
    losses: Numbers = np.logaddexp(0, np.where(outcome[:, None] == 1, -margins, margins))
    return losses


def average_losses(losses: Numbers, weights: Numbers) -> Numbers:
    """Average losses over courses, each counted by its weight; ``[1 + rounds]``."""
    averaged: Numbers = np.average(losses, axis=0, weights=weights)
    return averaged


def fit_start(design: Design) -> Equation:
    """Fit where the trees start: the base rate and each site's shrunken effect.

    Site effects are a logistic regression on site alone with a normal prior of the published
    spread; a site without courses gets none.
    """
    blank = np.zeros(len(design.features))
    known = np.unique(design.sites[design.sites >= 0])
    if len(known) < 2 or np.ptp(design.outcome) == 0:
        return make_constant(design)
    numbers = [list(range(len(design.site_names)))]
    encoder = OneHotEncoder(categories=numbers, handle_unknown="ignore")
    marks = encoder.fit_transform(design.sites[:, None])
    model = LogisticRegression(C=SITE_SPREAD**2, max_iter=1000)
    model.fit(marks, design.outcome, sample_weight=design.given_weights)
    return make_equation(design, float(model.intercept_[0]), blank, blank, model.coef_[0])
