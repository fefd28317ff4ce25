"""Peers: common models for such a table, each through its own recommended pipeline.

They get the fields that our candidates get, as a table: numbers, flags as 0 and 1, categories, and
the site as one more category; missing values stay missing. Those that the project does not need
itself come with `pip install ketamine-response[peers]`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from experiments.benchmarks.installed import list_absent, list_versions
from features.base.arrays import Numbers
from features.dictionary.field import Field, Kind
from features.records.columns import Columns

# A pandas data frame; pandas comes without types here.
Table = Any
Predict = Callable[[Any], Numbers]

_TRIALS, _FOLDS = 30, 5
# saga alone fits mixed penalties; lbfgs is faster for the ridge.
_RIDGE = {"l1_ratios": (0.0,), "solver": "lbfgs", "max_iter": 1000}
_ELASTIC_NET = {"l1_ratios": (0.1, 0.5, 0.9), "solver": "saga", "max_iter": 500, "tol": 1e-3}
_PENALTIES = np.geomspace(1e-4, 10, 11)


@dataclass(frozen=True)
class Peer:
    """A model that is not ours."""

    name: str
    label: str
    packages: tuple[str, ...]  # Distributions that it needs; their versions are part of its results
    modules: tuple[str, ...]
    fit: Callable[[Any, Numbers, int], Predict]

    @property
    def absent(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return list_absent(self.modules)

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of what is installed of its packages."""
        return list_versions(self.packages)


def make_table(columns: Columns, fields: Sequence[str]) -> Table:
    """Make the table of some fields; the site's categories are those of these courses."""
    known = columns.dictionary.fields
    return pd.DataFrame({name: _make_series(columns, known[name]) for name in fields})


def _make_series(columns: Columns, field: Field) -> Any:
    if field.kind is Kind.TEXT:
        return pd.Categorical(columns.get_texts(field.name).tolist())
    values = columns.get_numbers(field.name)
    if field.kind is not Kind.CATEGORY:
        return values
    codes = np.nan_to_num(values, nan=-1).astype(int)
    return pd.Categorical.from_codes(codes, categories=list(field.categories))


def match_categories(table: Table, fitted: Table) -> Table:
    """Give categories the coding of the table fitted on; one that it lacks becomes missing."""
    known = {
        name: table[name].cat.set_categories(fitted[name].cat.categories)
        for name in table
        if isinstance(table[name].dtype, pd.CategoricalDtype)
    }
    return table.assign(**known)


def _fit_xgboost(table: Table, outcome: Numbers, seed: int) -> Predict:
    return _fit_trees(_build_xgboost(seed), table, outcome)


def _build_xgboost(seed: int, **settings: Any) -> Any:
    return xgboost.XGBClassifier(enable_categorical=True, n_jobs=1, random_state=seed, **settings)


def _fit_tuned_xgboost(table: Table, outcome: Numbers, seed: int) -> Predict:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)

    def compute_loss(trial: Any) -> float:
        model = _build_xgboost(seed, **_suggest_settings(trial))
        scores = cross_val_score(model, table, outcome, cv=folds, scoring="neg_log_loss")
        return -float(scores.mean())

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(compute_loss, n_trials=_TRIALS)
    return _fit_trees(_build_xgboost(seed, **study.best_params), table, outcome)


def _suggest_settings(trial: Any) -> dict[str, Any]:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 20, 600, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "max_depth": trial.suggest_int("max_depth", 1, 8),
        "min_child_weight": trial.suggest_float("min_child_weight", 1, 50, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.01, 100, log=True),
        "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
    }


def _fit_lightgbm(table: Table, outcome: Numbers, seed: int) -> Predict:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_jobs=1, random_state=seed, verbose=-1)
    return _fit_trees(model, table, outcome)


def _fit_histogram_boosting(table: Table, outcome: Numbers, seed: int) -> Predict:
    return _fit_trees(HistGradientBoostingClassifier(random_state=seed), table, outcome)


def _fit_trees(model: Any, table: Table, outcome: Numbers) -> Predict:
    # These read categories and missing values themselves; a new site is missing to them.
    model.fit(table, outcome.astype(int))
    return lambda tested: _take_second(model.predict_proba(match_categories(tested, table)))


def _fit_catboost(table: Table, outcome: Numbers, seed: int) -> Predict:
    import catboost

    categories = _list_categories(table)  # to CatBoost a missing category is a category
    model = catboost.CatBoostClassifier(
        cat_features=categories,
        thread_count=1,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(_write_missing(table, categories), outcome.astype(int))
    return lambda tested: _take_second(model.predict_proba(_write_missing(tested, categories)))


def _fit_ebm(table: Table, outcome: Numbers, seed: int) -> Predict:
    from interpret.glassbox import ExplainableBoostingClassifier

    categories = _list_categories(table)
    types = ["nominal" if name in categories else "continuous" for name in table]
    model = ExplainableBoostingClassifier(feature_types=types, n_jobs=1, random_state=seed)
    model.fit(_write_objects(table, categories), outcome.astype(int))
    return lambda tested: _take_second(model.predict_proba(_write_objects(tested, categories)))


def _write_missing(table: Table, categories: Sequence[str]) -> Table:
    texts = {name: table[name].astype(object).fillna("missing").astype(str) for name in categories}
    return table.assign(**texts)


def _write_objects(table: Table, categories: Sequence[str]) -> Table:
    return table.assign(**{name: table[name].astype(object) for name in categories})


def _list_categories(table: Table) -> list[str]:
    return [name for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)]


def _take_second(probabilities: Any) -> Numbers:
    second: Numbers = np.asarray(probabilities, dtype=float)[:, 1]
    return second


# As scikit-learn's own guide would build them; the penalty is selected by cross-validated log loss.
def _fit_regression(
    table: Table, outcome: Numbers, seed: int, settings: Mapping[str, Any]
) -> Predict:
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
    model = make_pipeline(preparation, regression)
    model.fit(table, outcome.astype(int))
    return lambda tested: _take_second(model.predict_proba(tested))


_XGBOOST = ("xgboost", "xgboost-cpu")
PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        peer.name: peer
        for peer in (
            Peer("peer_xgboost", "XGBoost", _XGBOOST, ("xgboost",), _fit_xgboost),
            Peer(
                "peer_tuned_xgboost",
                "XGBoost, tuned by Optuna",
                (*_XGBOOST, "optuna"),
                ("xgboost", "optuna"),
                _fit_tuned_xgboost,
            ),
            Peer("peer_lightgbm", "LightGBM", ("lightgbm",), ("lightgbm",), _fit_lightgbm),
            Peer("peer_catboost", "CatBoost", ("catboost",), ("catboost",), _fit_catboost),
            Peer("peer_ebm", "EBM", ("interpret-core",), ("interpret",), _fit_ebm),
            Peer(
                "peer_histogram_boosting",
                "HistGradientBoosting",
                ("scikit-learn",),
                ("sklearn",),
                _fit_histogram_boosting,
            ),
            Peer(
                "peer_ridge",
                "ridge of scikit-learn",
                ("scikit-learn",),
                ("sklearn",),
                partial(_fit_regression, settings=_RIDGE),
            ),
            Peer(
                "peer_elastic_net",
                "elastic net of scikit-learn",
                ("scikit-learn",),
                ("sklearn",),
                partial(_fit_regression, settings=_ELASTIC_NET),
            ),
        )
    }
)
