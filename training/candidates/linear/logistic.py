"""Logistic candidates: severity alone, and the elastic net on every field offered.

Imputation, scaling and penalty are fitted inside the courses given; the fitted coefficients are
then written out as an equation, so that nothing of scikit-learn reaches the artifact.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from sklearn.linear_model import LogisticRegression

from features.base.arrays import Numbers
from features.model.equation import Equation
from features.model.matrix import Feature
from training.candidates.base import (
    Candidate,
    Fit,
    Settings,
    cross_base_rate,
    make_constant,
    make_equation,
)
from training.candidates.calibration import (
    CONSTANT,
    Calibration,
    calibrate_on_folds,
    gather_inner,
)
from training.candidates.linear.lasso import fit_penalties
from training.measures.losses import compare_losses
from training.measures.predictions import Predictions
from training.study.design import UNKNOWN_SITE, Design, average_recorded, mark_sites
from training.study.split import Fold, split_inner


@dataclass(frozen=True)
class Penalty:
    """One point of the grid: scikit-learn's `C` and `l1_ratio`."""

    c: float
    l1_ratio: float


# A single coefficient needs no shrinkage; the tiny penalty keeps it finite if classes are
# separated.
_NO_PENALTY = Penalty(c=1e6, l1_ratio=0.0)
# The weakest penalty is a normal prior of deviation 0.55 per standard deviation of a feature: no
# single baseline field is known to predict more.
_GRID = tuple(Penalty(c, l1) for l1, c in product((0.0, 0.5, 1.0), np.geomspace(1e-3, 0.3, 6)))
# Standard deviation up to which a feature is constant but for rounding.
_CONSTANT = 1e-8


class ElasticNet(Candidate):
    """Logistic regression with an elastic-net penalty on all features.

    A missing value takes the cohort's mean and so contributes nothing. It has no indicator: what is
    missing depends on the site's form more than on the patient, and would stand for the site.
    """

    name = "elastic_net"
    label = "elastic net"
    colour = "#00588f"
    preference = 30
    grid: tuple[Penalty, ...] = _GRID

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose the penalty by log loss on inner folds, and calibrate on them."""
        design = self.narrow(design)
        folds = split_inner(design, seed)
        if not folds or not design.features:
            inner = cross_base_rate(design, folds)
            return Fit(make_constant(design), CONSTANT.as_settings(), inner)
        log_odds = hold_out(design, folds, self.grid)
        penalty = _choose_penalty(
            {each: gather_inner(design, folds, values) for each, values in log_odds.items()}
        )
        calibration, inner = calibrate_on_folds(design, folds, log_odds[penalty], "logistic")
        settings = vars(penalty) | calibration.as_settings()
        return Fit(self.refit(design, settings, seed), settings, inner)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with the penalty and calibration given."""
        design, calibration = self.narrow(design), Calibration.from_settings(settings)
        if calibration.is_constant or np.ptp(design.outcome) == 0:
            return make_constant(design)
        penalty = Penalty(settings["c"], settings["l1_ratio"])
        preparation = _prepare_features(design)
        coefficients = _fit_path(preparation.make_table(design), design, (penalty,))[penalty]
        return calibration.apply_to(_write_equation(design, preparation, coefficients))

    def narrow(self, design: Design) -> Design:
        """Keep the features that this candidate uses: all."""
        return design


class SeverityOnly(ElasticNet):
    """Logistic regression on the baseline total of the outcome's instrument."""

    name = "severity_only"
    label = "baseline severity alone"
    colour = "#b35900"
    preference = 50
    grid = (_NO_PENALTY,)

    def narrow(self, design: Design) -> Design:
        """Keep the baseline total, and no site."""
        severity = [] if design.severity is None else [design.severity]
        return replace(
            keep_features(design, severity), sites=np.full(design.size, UNKNOWN_SITE), site_names=()
        )


@dataclass(frozen=True)
class _Preparation:
    # Of each feature, the mean of recorded values, and the standard deviation after imputing it; 1
    # for a constant feature, which then contributes nothing.
    centre: Numbers
    scale: Numbers

    def make_table(self, design: Design) -> Numbers:
        values = np.nan_to_num((design.matrix - self.centre) / self.scale)
        return np.hstack([values, mark_sites(design.sites, design.site_names)])


def _prepare_features(design: Design) -> _Preparation:
    centre = average_recorded(design.matrix)
    scale = np.nan_to_num(design.matrix - centre).std(axis=0)
    return _Preparation(centre, np.where(scale > _CONSTANT, scale, 1))


def hold_out(design: Design, folds: list[Fold], grid: Sequence[Penalty]) -> dict[Penalty, Numbers]:
    """Compute held-out log-odds under each penalty, in the order of the folds' test courses."""
    log_odds: dict[Penalty, list[Numbers]] = {penalty: [] for penalty in grid}
    for fold in folds:
        train, test = design.select(fold.train), design.select(fold.test)
        preparation = _prepare_features(train)
        train_table, test_table = preparation.make_table(train), preparation.make_table(test)
        for penalty, coefficients in _fit_path(train_table, train, grid).items():
            log_odds[penalty].append(coefficients[0] + test_table @ coefficients[1:])
    return {penalty: np.concatenate(parts) for penalty, parts in log_odds.items()}


def _choose_penalty(predictions: Mapping[Penalty, Predictions]) -> Penalty:
    # The one-standard-error rule: the strongest penalty that is not clearly
    # worse than the best.
    first = next(iter(predictions.values()))
    weights, patients = first.weights, first.patients
    losses = {penalty: held_out.compute_losses() for penalty, held_out in predictions.items()}
    means = {p: float(np.average(loss, weights=weights)) for p, loss in losses.items()}
    best = losses[min(means, key=lambda penalty: means[penalty])]
    gaps = {p: compare_losses(loss, best, patients, weights) for p, loss in losses.items()}
    within = [penalty for penalty, gap in gaps.items() if gap.mean <= gap.error]
    # Of equally strong penalties, the one with the lower loss.
    return min(within, key=lambda penalty: (penalty.c, means[penalty]))


def keep_features(design: Design, kept: Sequence[int]) -> Design:
    """Keep some features of a design."""
    features: tuple[Feature, ...] = tuple(design.features[index] for index in kept)
    matrix = design.matrix[:, list(kept)]
    return replace(design, features=features, matrix=matrix)


def _fit_path(table: Numbers, design: Design, grid: Sequence[Penalty]) -> dict[Penalty, Numbers]:
    coefficients: dict[Penalty, Numbers] = {}
    for l1_ratio in dict.fromkeys(penalty.l1_ratio for penalty in grid):
        # The strongest first: each fit starts where the one before it ended.
        path = sorted((p for p in grid if p.l1_ratio == l1_ratio), key=lambda p: p.c)
        if l1_ratio:
            strengths = [1 / penalty.c for penalty in path]
            fits = fit_penalties(table, design.outcome, design.weights, strengths, l1_ratio)
        else:
            fits = _fit_ridges(table, design, path)
        coefficients |= dict(zip(path, fits, strict=True))
    return coefficients


def _fit_ridges(table: Numbers, design: Design, path: Sequence[Penalty]) -> Iterator[Numbers]:
    # Penalties that exclude no column have smooth losses, which scikit-learn's own solver handles.
    for penalty in path:
        regression = LogisticRegression(C=penalty.c, tol=1e-4, max_iter=500)
        regression.fit(table, design.outcome, sample_weight=design.given_weights)
        yield np.append(regression.intercept_, regression.coef_[0])


def _write_equation(design: Design, preparation: _Preparation, coefficients: Numbers) -> Equation:
    width = len(preparation.scale)
    intercept, weights = coefficients[0], coefficients[1:]
    # Imputation is written out: a missing value counts as the mean.
    present = weights[:width] / preparation.scale
    missing = present * preparation.centre
    return make_equation(
        design, float(intercept - missing.sum()), present, missing, weights[width:]
    )
