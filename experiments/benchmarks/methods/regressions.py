"""Peers that are regressions, as scikit-learn's own guide would build them."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from experiments.benchmarks.methods.table import Predict, Table
from features.base.arrays import Numbers

FOLDS = 5
RIDGE = {"l1_ratios": (0.0,), "solver": "lbfgs", "max_iter": 1000}
ELASTIC_NET = {"l1_ratios": (0.1, 0.5, 0.9), "solver": "saga", "max_iter": 500, "tol": 1e-3}
PENALTIES = np.geomspace(1e-4, 10, 11)


def fit_ridge(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit a logistic regression with a ridge penalty found by cross-validated log loss."""
    return fit_regression(table, outcome, seed, RIDGE)


def fit_elastic_net(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit one with an elastic-net penalty, its mix found in the same way."""
    return fit_regression(table, outcome, seed, ELASTIC_NET)


def fit_regression(table: Table, outcome: Numbers, seed: int, settings: dict[str, Any]) -> Predict:
    """Fit a regression behind medians, marks of what is missing, scaling and one-hot categories."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    regression = LogisticRegressionCV(
        Cs=PENALTIES,
        cv=folds,
        scoring="neg_log_loss",
        random_state=seed,
        use_legacy_attributes=False,
        **settings,
    )
    model = Pipeline([("prepare", build_preparation()), ("regress", regression)])
    model.fit(table, outcome.astype(int))
    return lambda asked: np.asarray(model.predict_proba(asked), dtype=float)[:, 1]


def build_preparation() -> ColumnTransformer:
    """Build the unfitted preparation of numbers and categories."""
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    categories = OneHotEncoder(handle_unknown="ignore")
    chosen = make_column_selector(dtype_include=pd.CategoricalDtype)
    others = make_column_selector(dtype_exclude=pd.CategoricalDtype)
    return ColumnTransformer([("numbers", numbers, others), ("categories", categories, chosen)])
