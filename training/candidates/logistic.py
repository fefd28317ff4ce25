"""Logistic candidates: severity alone, and the elastic net on every field offered.

Imputation, scaling and penalty are fitted inside the courses given; the fitted pipeline is then
written out as an equation, so that nothing of scikit-learn reaches the artifact.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from features.equation import Equation
from features.matrix import Feature
from training.calibration import (
    NONE,
    SAYS_NOTHING,
    Calibration,
    HeldBack,
    choose_calibration,
)
from training.candidates.base import Fit, Settings, make_constant, make_equation
from training.design import Design
from training.evaluate import compare_losses
from training.split import Fold, split_inner

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Penalty:
    """One point of the grid: scikit-learn's `C` and `l1_ratio`."""

    c: float
    l1_ratio: float


NO_PENALTY = Penalty(c=1e6, l1_ratio=0.0)
# The weakest is a normal prior of .55 for a standard deviation; weaker ones took most of the time.
GRID = tuple(Penalty(c, l1) for l1, c in product((0.0, 0.5, 1.0), np.geomspace(1e-3, 0.3, 6)))


class ElasticNet:
    """Logistic regression with an elastic-net penalty on every field offered.

    A missing value takes the cohort's mean and so moves nothing. It has no term of its own: what is
    missing follows the site's form more than the patient, and would carry the site in disguise.
    """

    name = "elastic_net"
    label = "elastic net"
    grid: tuple[Penalty, ...] = GRID

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose the penalty by log loss on inner folds, and calibrate on them."""
        design = self.narrow(design)
        folds = split_inner(design, seed)
        if not folds or not design.features:
            return Fit(make_constant(design), SAYS_NOTHING.as_settings())
        said = {
            penalty: HeldBack.gather(design, folds, log_odds)
            for penalty, log_odds in hold_out(design, folds, self.grid, seed).items()
        }
        penalty = choose_penalty(said)
        calibration = choose_calibration(said[penalty], "logistic")
        settings = vars(penalty) | calibration.as_settings()
        return Fit(self.refit(design, settings, seed), settings)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with the penalty and calibration given."""
        design, calibration = self.narrow(design), Calibration.from_settings(settings)
        if calibration.says_nothing or np.ptp(design.outcome) == 0:
            return make_constant(design)
        penalty = Penalty(settings["c"], settings["l1_ratio"])
        return calibration.apply_to(fit_path(design, (penalty,), seed)[penalty])

    def narrow(self, design: Design) -> Design:
        """Keep the features that this candidate uses: all."""
        return design


class SeverityOnly(ElasticNet):
    """Logistic regression on the baseline total of the outcome's own instrument."""

    name = "severity_only"
    label = "baseline severity alone"
    grid = (NO_PENALTY,)

    def narrow(self, design: Design) -> Design:
        """Keep the baseline total, and no site."""
        kept = [] if design.severity is None else [design.severity]
        return replace(keep_features(design, kept), sites=np.full(design.size, -1), site_names=())


def hold_out(
    design: Design, folds: list[Fold], grid: Sequence[Penalty], seed: int
) -> dict[Penalty, Numbers]:
    """Compute each penalty's log-odds of courses not learned from, in the order of the folds."""
    said: dict[Penalty, list[Numbers]] = {penalty: [] for penalty in grid}
    for fold in folds:
        test = design.columns.select(fold.test)
        for penalty, linear in fit_path(design.select(fold.train), grid, seed).items():
            said[penalty].append(linear.compute_log_odds(test)[:, 0])
    return {penalty: np.concatenate(parts) for penalty, parts in said.items()}


def choose_penalty(said: Mapping[Penalty, HeldBack]) -> Penalty:
    """Choose the strongest penalty within one standard error of the lowest log loss."""
    some = next(iter(said.values()))
    weights, patients = some.weights, some.patients
    losses = {penalty: one.compute_losses(NONE) for penalty, one in said.items()}
    means = {p: float(np.average(loss, weights=weights)) for p, loss in losses.items()}
    best = losses[min(means, key=lambda penalty: means[penalty])]
    gaps = {p: compare_losses(loss, best, patients, weights) for p, loss in losses.items()}
    within = [penalty for penalty, gap in gaps.items() if gap.mean <= gap.error]
    return min(within, key=lambda penalty: (penalty.c, means[penalty]))


def keep_features(design: Design, places: Sequence[int]) -> Design:
    """Keep some features of a design."""
    features: tuple[Feature, ...] = tuple(design.features[place] for place in places)
    severity = places.index(design.severity) if design.severity in places else None
    matrix = design.matrix[:, list(places)]
    return replace(design, features=features, matrix=matrix, severity=severity)


def build_columns(design: Design) -> ColumnTransformer:
    """Build the unfitted preparation: means for missing values, scaling, sites."""
    width = design.matrix.shape[1]
    impute = SimpleImputer(strategy="mean", keep_empty_features=True)
    prepare = Pipeline([("impute", impute), ("scale", StandardScaler())])
    parts = [("features", prepare, list(range(width)))]
    if design.site_names:
        numbers = [list(range(len(design.site_names)))]
        mark = OneHotEncoder(categories=numbers, handle_unknown="ignore", sparse_output=False)
        parts.append(("sites", mark, [width]))
    return ColumnTransformer(parts)


def build_regression(penalty: Penalty, seed: int) -> LogisticRegression:
    """Build the unfitted regression."""
    return LogisticRegression(
        C=penalty.c,
        l1_ratio=penalty.l1_ratio,
        solver="saga" if penalty.l1_ratio else "lbfgs",
        tol=1e-4,
        max_iter=500,
        random_state=seed,
    )


def fit_path(design: Design, grid: Sequence[Penalty], seed: int) -> dict[Penalty, Equation]:
    """Fit the preparation once and a regression for each penalty, each written as an equation."""
    columns = build_columns(design)
    table = columns.fit_transform(np.column_stack([design.matrix, design.sites]).astype(float))
    fitted = {}
    with warnings.catch_warnings():
        # The weakest penalties of the grid may stop early; cross-validation judges what they reach.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for penalty in grid:
            regression = build_regression(penalty, seed)
            regression.fit(table, design.outcome, sample_weight=design.given_weights)
            fitted[penalty] = write_equation(design, columns, regression)
    return fitted


def write_equation(
    design: Design, columns: ColumnTransformer, regression: LogisticRegression
) -> Equation:
    """Write a fitted preparation and regression as an equation with the same log-odds."""
    prepare = columns.named_transformers_["features"]
    imputer, scaler = prepare["impute"], prepare["scale"]
    width, weights = design.matrix.shape[1], regression.coef_[0]
    present = weights[:width] / scaler.scale_
    missing = present * imputer.statistics_
    intercept = regression.intercept_[0] - present @ scaler.mean_
    sites = weights[width:]
    return make_equation(design, float(intercept), present, missing, sites)
