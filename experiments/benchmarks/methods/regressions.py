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

# saga alone fits mixed penalties; lbfgs is faster for the ridge.
_RIDGE = {"l1_ratios": (0.0,), "solver": "lbfgs", "max_iter": 1000}
_ELASTIC_NET = {"l1_ratios": (0.1, 0.5, 0.9), "solver": "saga", "max_iter": 500, "tol": 1e-3}
_PENALTIES = np.geomspace(1e-4, 10, 11)
_FOLDS = 5


def fit_ridge(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit a logistic regression with a ridge penalty selected by cross-validated log loss."""
    return _fit_regression(table, outcome, seed, _RIDGE)


def fit_elastic_net(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit one with an elastic-net penalty, its mix selected in the same way."""
    return _fit_regression(table, outcome, seed, _ELASTIC_NET)


def _fit_regression(table: Table, outcome: Numbers, seed: int, settings: dict[str, Any]) -> Predict:
    regression = LogisticRegressionCV(
        Cs=_PENALTIES,
        cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
        random_state=seed,
        use_legacy_attributes=False,
        **settings,
    )
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    preparation = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_exclude=pd.CategoricalDtype)),
            ("categories", OneHotEncoder(handle_unknown="ignore"),
             make_column_selector(dtype_include=pd.CategoricalDtype)),
        ]
    )  # fmt: skip
    model = Pipeline([("prepare", preparation), ("regress", regression)])
    model.fit(table, outcome.astype(int))
    return lambda tested: np.asarray(model.predict_proba(tested), dtype=float)[:, 1]
