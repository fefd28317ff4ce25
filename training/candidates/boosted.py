"""Boosted trees: the only file of training that names XGBoost."""

from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from features.equation import Equation
from training.candidates.base import (
    Fit,
    Settings,
    compute_base_log_odds,
    make_constant,
    make_equation,
)
from training.candidates.logistic import scale_equation
from training.design import Design
from training.evidence import SIGNS
from training.recalibration import calibrate
from training.split import Fold, split_inner

Numbers = NDArray[np.float64]

DEPTHS = (1, 3)
MOST_ROUNDS = 400
PATIENCE = 30
# Spread of sites' base rates on the log-odds scale over 13 published acute rates.
SITE_SPREAD = 0.53
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
            return Fit(make_constant(design), {"calibration_slope": 0.0})
        outcome = design.outcome[np.concatenate([fold.test for fold in folds])]
        tried = {depth: follow_rounds(design, folds, depth, seed) for depth in DEPTHS}
        losses = {
            (depth, rounds): loss
            for depth, margins in tried.items()
            for rounds, loss in enumerate(compute_losses(margins, outcome), 1)
        }
        depth, rounds = min(losses, key=lambda choice: losses[choice])
        intercept, slope = calibrate(tried[depth][:, rounds - 1], outcome)
        settings = {
            "depth": depth,
            "rounds": rounds,
            "calibration_intercept": intercept,
            "calibration_slope": slope,
        }
        return Fit(self.refit(design, settings, seed), settings)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with depth, rounds and calibration given."""
        if settings["calibration_slope"] == 0 or np.ptp(design.outcome) == 0:
            return make_constant(design)
        base, sites = fit_start(design)
        offset = compute_offset(design, base, sites)
        data = make_data(design, offset)
        parameters = make_parameters(design, int(settings["depth"]), seed)
        booster = xgboost.train(parameters, data, int(settings["rounds"]))
        blank = np.zeros(len(design.features))
        equation = make_equation(design, base, blank, blank, sites, (booster, 1.0))
        return scale_equation(
            equation, settings["calibration_intercept"], settings["calibration_slope"]
        )


def make_parameters(design: Design, depth: int, seed: int) -> dict[str, Any]:
    """Build XGBoost's parameters, with the evidenced sign of each feature."""
    signs = tuple(SIGNS.get(feature.name, 0) for feature in design.features)
    return FIXED_PARAMETERS | {"max_depth": depth, "seed": seed, "monotone_constraints": signs}


def make_data(design: Design, offset: Numbers) -> Any:
    """Build XGBoost's matrix, starting from an offset in log-odds."""
    return xgboost.QuantileDMatrix(
        design.matrix, label=design.outcome, base_margin=offset, nthread=1
    )


def follow_rounds(design: Design, folds: list[Fold], depth: int, seed: int) -> Numbers:
    """Compute the log-odds of courses not learned from after each round.

    Returns
    -------
    ndarray
        ``float64[courses in the folds' tests, rounds]``.
    """
    return np.concatenate([follow_fold(design, fold, depth, seed) for fold in folds])


def follow_fold(design: Design, fold: Fold, depth: int, seed: int) -> Numbers:
    """Do so for one fold; after its early stop the log-odds stay as they are."""
    train, test = design.select(fold.train), design.select(fold.test)
    base, sites = fit_start(train)
    starts = [compute_offset(part, base, sites) for part in (train, test)]
    booster = xgboost.train(
        make_parameters(design, depth, seed),
        make_data(train, starts[0]),
        MOST_ROUNDS,
        evals=[(xgboost.DMatrix(test.matrix, label=test.outcome, base_margin=starts[1]), "test")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    steps = [
        booster.inplace_predict(
            test.matrix, iteration_range=(done, done + 1), predict_type="margin"
        )
        for done in range(booster.num_boosted_rounds())
    ]
    reached = starts[1][:, None] + np.cumsum(np.column_stack(steps), axis=1, dtype=np.float64)
    rest = MOST_ROUNDS - reached.shape[1]
    return np.hstack([reached, np.repeat(reached[:, -1:], rest, axis=1)])


def compute_losses(margins: Numbers, outcome: Numbers) -> Numbers:
    """Compute the log loss after each round."""
    signed = np.where(outcome[:, None] == 1, -margins, margins)
    losses: Numbers = np.logaddexp(0, signed).mean(axis=0)
    return losses


def fit_start(design: Design) -> tuple[float, Numbers]:
    """Fit where the trees start: the base rate and each site's shrunken effect.

    Site effects are a logistic regression on site alone with a normal prior of the published
    spread; a site without courses gets none.
    """
    known = np.unique(design.sites[design.sites >= 0])
    if len(known) < 2 or np.ptp(design.outcome) == 0:
        return compute_base_log_odds(design), np.zeros(len(design.site_names))
    numbers = [list(range(len(design.site_names)))]
    encoder = OneHotEncoder(categories=numbers, handle_unknown="ignore")
    marks = encoder.fit_transform(design.sites[:, None])
    model = LogisticRegression(C=SITE_SPREAD**2, max_iter=1000).fit(marks, design.outcome)
    return float(model.intercept_[0]), model.coef_[0]


def compute_offset(design: Design, base: float, sites: Numbers) -> Numbers:
    """Compute where each course starts."""
    effects = np.append(sites, 0.0)  # the last one is what -1, the unknown site, points at
    return base + effects[design.sites]
