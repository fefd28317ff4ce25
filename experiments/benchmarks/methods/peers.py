"""Peers: what else one would fit to such a table, each through its own recommended pipeline.

They see the fields that our candidates see, as a table: numbers, flags as 0 and 1, categories, and
the site as one more category; what is missing is missing. None of them is a dependency of the
project, save those that come with it: `pip install ketamine-response[peers]`.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from experiments.benchmarks.methods.regressions import fit_elastic_net, fit_ridge
from experiments.benchmarks.methods.table import Predict, Table, take_categories
from features.base.arrays import Numbers

TRIALS, FOLDS = 30, 5


@dataclass(frozen=True)
class Peer:
    """A model of somebody else's.

    Parameters
    ----------
    packages
        Distributions that it needs; their versions are part of its results.
    """

    name: str
    label: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    fit: Callable[[Any, Numbers, int], Predict]

    @property
    def absent(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return tuple(name for name in self.modules if importlib.util.find_spec(name) is None)

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of what is installed of its packages."""
        found = {}
        for package in self.packages:
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found


def fit_xgboost(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit XGBoost as it comes, with its own categories and missing values."""
    return fit_trees(build_xgboost(seed), table, outcome)


def build_xgboost(seed: int, **settings: Any) -> Any:
    """Build the unfitted classifier of XGBoost."""
    return xgboost.XGBClassifier(enable_categorical=True, n_jobs=1, random_state=seed, **settings)


def fit_tuned_xgboost(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit XGBoost with settings that Optuna finds by cross-validated log loss."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)

    def lose(trial: Any) -> float:
        model = build_xgboost(seed, **suggest_settings(trial))
        gains = cross_val_score(model, table, outcome, cv=folds, scoring="neg_log_loss")
        return -float(gains.mean())

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(lose, n_trials=TRIALS)
    return fit_trees(build_xgboost(seed, **study.best_params), table, outcome)


def suggest_settings(trial: Any) -> dict[str, Any]:
    """Suggest settings in the ranges that are usual for tables of this size."""
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


def fit_lightgbm(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit LightGBM as it comes, with its own categories and missing values."""
    import lightgbm

    model = lightgbm.LGBMClassifier(n_jobs=1, random_state=seed, verbose=-1)
    return fit_trees(model, table, outcome)


def fit_histogram_boosting(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit scikit-learn's boosted trees as they come, with their own categories."""
    return fit_trees(HistGradientBoostingClassifier(random_state=seed), table, outcome)


def fit_trees(model: Any, table: Table, outcome: Numbers) -> Predict:
    """Fit a model that reads categories and missing values itself.

    A site that it was not fitted on is missing to it.
    """
    model.fit(table, outcome.astype(int))
    return lambda asked: _take_second(model.predict_proba(take_categories(asked, table)))


def fit_catboost(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit CatBoost as it comes; to it a missing category is a category."""
    import catboost

    categories = _list_categories(table)
    model = catboost.CatBoostClassifier(
        cat_features=categories,
        thread_count=1,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(write_missing(table, categories), outcome.astype(int))
    return lambda asked: _take_second(model.predict_proba(write_missing(asked, categories)))


def fit_ebm(table: Table, outcome: Numbers, seed: int) -> Predict:
    """Fit an explainable boosting machine as it comes."""
    from interpret.glassbox import ExplainableBoostingClassifier

    categories = _list_categories(table)
    types = ["nominal" if name in categories else "continuous" for name in table]
    model = ExplainableBoostingClassifier(feature_types=types, n_jobs=1, random_state=seed)
    model.fit(_write_objects(table, categories), outcome.astype(int))
    return lambda asked: _take_second(model.predict_proba(_write_objects(asked, categories)))


def write_missing(table: Table, categories: Sequence[str]) -> Table:
    """Write categories as texts, and one for what is missing."""
    texts = {name: table[name].astype(object).fillna("missing").astype(str) for name in categories}
    return table.assign(**texts)


def _write_objects(table: Table, categories: Sequence[str]) -> Table:
    return table.assign(**{name: table[name].astype(object) for name in categories})


def _list_categories(table: Table) -> list[str]:
    return [name for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)]


def _take_second(probabilities: Any) -> Numbers:
    second: Numbers = np.asarray(probabilities, dtype=float)[:, 1]
    return second


OURS = ("xgboost", "xgboost-cpu")
PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        peer.name: peer
        for peer in (
            Peer("peer_xgboost", "XGBoost", OURS, ("xgboost",), fit_xgboost),
            Peer(
                "peer_tuned_xgboost",
                "XGBoost, tuned by Optuna",
                (*OURS, "optuna"),
                ("xgboost", "optuna"),
                fit_tuned_xgboost,
            ),
            Peer("peer_lightgbm", "LightGBM", ("lightgbm",), ("lightgbm",), fit_lightgbm),
            Peer("peer_catboost", "CatBoost", ("catboost",), ("catboost",), fit_catboost),
            Peer("peer_ebm", "EBM", ("interpret-core",), ("interpret",), fit_ebm),
            Peer(
                "peer_histogram_boosting",
                "HistGradientBoosting",
                ("scikit-learn",),
                ("sklearn",),
                fit_histogram_boosting,
            ),
            Peer("peer_ridge", "ridge of scikit-learn", ("scikit-learn",), ("sklearn",), fit_ridge),
            Peer("peer_elastic_net", "elastic net of scikit-learn", ("scikit-learn",), ("sklearn",),
                 fit_elastic_net),
        )
    }
)  # fmt: skip
