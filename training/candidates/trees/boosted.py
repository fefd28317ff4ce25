"""Boosted trees that start from the base rate and the sites."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from features.model.equation import Equation
from training.candidates.base import (
    Candidate,
    Fit,
    Settings,
    cross_base_rate,
    make_constant,
    make_equation,
)
from training.candidates.calibration import CONSTANT, Calibration, calibrate_on_folds
from training.candidates.evidence.published import SITE_SPREAD
from training.candidates.trees.trees import add_trees, choose_trees, grow_trees
from training.study.design import Design
from training.study.split import split_inner


class Boosted(Candidate):
    """Boosted trees; native handling of missing values, published signs enforced.

    Trees start from the base rate and, where offered, from the sites' shrunken effects; they never
    see which site a course belongs to.
    """

    name = "xgboost"
    label = "boosted trees"
    colour = "#3f7d20"
    preference = 40

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose settings and rounds by log loss on inner folds, and calibrate on them."""
        folds = split_inner(design, seed)
        if not folds or not design.features:
            inner = cross_base_rate(design, folds)
            return Fit(make_constant(design), CONSTANT.as_settings(), inner)
        starts = [fit_start(design.select(fold.train)) for fold in folds]
        choice = choose_trees(self.name, design, folds, starts, self.tuning, seed)
        calibration, inner = calibrate_on_folds(design, folds, choice.log_odds, "logistic")
        settings = {**choice.settings, "rounds": choice.rounds, **calibration.as_settings()}
        return Fit(self.refit(design, settings, seed), settings, inner, trials=choice.trials)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with settings, rounds and calibration given."""
        calibration = Calibration.from_settings(settings)
        if calibration.is_constant or np.ptp(design.outcome) == 0:
            return make_constant(design)
        start = fit_start(design)
        trees = grow_trees(design, start, settings, seed)
        return calibration.apply_to(add_trees(start, trees))


def fit_start(design: Design) -> Equation:
    """Fit where the trees start: the base rate and each site's shrunken effect.

    Site effects are those of a logistic regression on the site alone, with a normal prior of the
    published spread; the effect of a site without courses is 0.
    """
    blank = np.zeros(len(design.features))
    known = np.unique(design.sites[design.sites >= 0])
    # The effect of a single site is the base rate itself.
    if len(known) < 2 or np.ptp(design.outcome) == 0:
        return make_constant(design)
    numbers = [list(range(len(design.site_names)))]
    # A course without a site has zeros for all: it starts from the base rate.
    encoder = OneHotEncoder(categories=numbers, handle_unknown="ignore")
    marks = encoder.fit_transform(design.sites[:, None])
    # A ridge penalty is a normal prior of variance C.
    model = LogisticRegression(C=SITE_SPREAD**2, max_iter=1000)
    model.fit(marks, design.outcome, sample_weight=design.given_weights)
    return make_equation(design, float(model.intercept_[0]), blank, blank, model.coef_[0])
