"""Boosted trees: the only file of training that names XGBoost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.model.equation import Equation
from training.candidates.base import Settings
from training.candidates.evidence.literature import list_signs
from training.candidates.tuning import (
    Range,
    Search,
    Space,
    Tuning,
    TuningTrial,
    choose_trial,
    try_settings,
)
from training.measures.losses import compare_losses, compute_log_loss
from training.study.design import Design
from training.study.split import Fold

# Rounds are chosen on inner folds; these only bound the search.
MAX_ROUNDS = 400
PATIENCE = 30
# No scale_pos_weight: it would bias the probabilities. One thread: fits run side by side.
_CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "nthread": 1,
        "base_score": 0.5,
    }
)
# Strong shrinkage, for cohorts as small as clinics have.
STUMPS: Settings = MappingProxyType(
    {
        "depth": 1,
        "eta": 0.05,
        "min_child_weight": 4.0,
        "lambda": 5.0,
        "alpha": 0.0,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
    }
)
SPACE = Space(
    fixed=(STUMPS, MappingProxyType({**STUMPS, "depth": 3})),
    ranges=MappingProxyType(
        {
            "depth": Range(1, 6, whole=True),
            "eta": Range(0.02, 0.3, log=True),
            "min_child_weight": Range(1, 32, log=True),
            "lambda": Range(0.1, 100, log=True),
            "alpha": Range(0, 5),
            "subsample": Range(0.5, 1),
            "colsample_bytree": Range(0.3, 1),
        }
    ),
)


@dataclass(frozen=True)
class _Part:
    # An inner fold with its matrices made once: every trial of the settings grows trees on them.
    # `start` are the test courses' log-odds before the first round.
    train_data: Any
    test_data: Any
    test: Design
    start: Numbers


@dataclass(frozen=True)
class _Grown:
    # One booster per fold, and the log loss over all folds before and after each round, ``[1 +
    # rounds]``.
    boosters: tuple[Any, ...]
    losses: Numbers


@dataclass(frozen=True)
class Choice:
    """The settings chosen on inner folds, and the rounds with the lowest log loss.

    Held-out log-odds, ``[courses in the folds' tests]``, are `start` before the first round, and
    `log_odds` after `rounds`.
    """

    settings: Settings
    rounds: int
    start: Numbers
    log_odds: Numbers
    trials: tuple[TuningTrial, ...]


def choose_trees(
    name: str,
    design: Design,
    folds: list[Fold],
    starts: Sequence[Equation],
    tuning: Tuning,
    seed: int,
) -> Choice:
    """Choose settings and rounds by log loss on inner folds.

    Fixed settings are replaced only by ones that are better by more than a standard error: the best
    of many trials is in part the luckiest. Each fold's trees start from an equation of its own.
    """
    rows = np.concatenate([fold.test for fold in folds])
    outcome, weights = design.outcome[rows], design.weights[rows]
    parts = [_make_part(design, *both) for both in zip(folds, starts, strict=True)]
    start = np.concatenate([part.start for part in parts])
    journal = tuning.open_journal(name, design, seed, {"xgboost": xgboost.__version__})
    kept: dict[frozenset[tuple[str, float]], _Grown] = {}

    def evaluate(settings: Settings) -> Iterator[float]:
        # Trees of fixed settings are kept: mostly one of them is chosen.
        for grown in _grow_parts(parts, _make_parameters(design, settings, seed)):
            yield float(grown.losses.min())
        if settings in SPACE.fixed:
            kept[frozenset(settings.items())] = grown

    trials = try_settings(Search(SPACE, evaluate, len(parts), seed, journal), tuning.trials)

    def grow_chosen(settings: Settings) -> Choice:
        parameters = _make_parameters(design, settings, seed)
        grown = kept.get(frozenset(settings.items())) or [*_grow_parts(parts, parameters)][-1]
        rounds = int(grown.losses.argmin())
        return Choice(settings, rounds, start, _predict_parts(parts, grown, rounds), trials)

    fixed, best = choose_trial(trials[: len(SPACE.fixed)]), choose_trial(trials)
    chosen = grow_chosen(fixed.settings)
    if best is fixed:
        return chosen
    other = grow_chosen(best.settings)
    losses, fixed_losses = (
        compute_log_loss(choice.log_odds, outcome) for choice in (other, chosen)
    )
    gain = compare_losses(losses, fixed_losses, design.patients[rows], weights)
    return other if gain.mean < -gain.error else chosen


def _make_part(design: Design, fold: Fold, start: Equation) -> _Part:
    train, test = design.select(fold.train), design.select(fold.test)
    offset, held_out = (start.compute_log_odds(part.columns)[:, 0] for part in (train, test))
    test_data = xgboost.DMatrix(
        test.matrix, label=test.outcome, weight=test.given_weights, base_margin=held_out, nthread=1
    )
    return _Part(_make_data(train, offset), test_data, test, held_out)


def _make_data(design: Design, offset: Numbers) -> Any:
    # Binned once, for every round that is grown on it.
    return xgboost.QuantileDMatrix(
        design.matrix,
        label=design.outcome,
        weight=design.given_weights,
        base_margin=offset,
        nthread=1,
    )


def _make_parameters(design: Design, settings: Settings, seed: int) -> dict[str, Any]:
    chosen = {name: settings[name] for name in SPACE.ranges if name != "depth"}
    signs = list_signs(design)
    held = {"max_depth": int(settings["depth"]), "seed": seed, "monotone_constraints": signs}
    return {**_CONSTANTS, **chosen, **held}


def grow_trees(design: Design, start: Equation, settings: Settings, seed: int) -> Any:
    """Grow trees with given settings and rounds, starting from an equation's log-odds."""
    offset = start.compute_log_odds(design.columns)[:, 0]
    parameters = _make_parameters(design, settings, seed)
    return xgboost.train(parameters, _make_data(design, offset), int(settings["rounds"]))


def add_trees(start: Equation, trees: Any) -> Equation:
    """Add trees to an equation of one version."""
    # Without trees the equation stays linear, and its artifact needs no booster.
    if not trees.num_boosted_rounds():
        return start
    return replace(start, terms=replace(start.terms, trees=np.ones(1)), boosters=(trees,))


def _grow_parts(parts: Sequence[_Part], parameters: Mapping[str, Any]) -> Iterator[_Grown]:
    # Fold by fold, so that a hopeless trial can be pruned before the last one.
    boosters: list[Any] = []
    total, counted = np.zeros(1 + MAX_ROUNDS), 0.0
    for part in parts:
        booster, losses = _grow_judged(part, parameters)
        weight = part.test.weights.sum()
        total, counted = total + weight * losses, counted + weight
        boosters.append(booster)
        yield _Grown(tuple(boosters), total / counted)


def _predict_parts(parts: Sequence[_Part], grown: _Grown, rounds: int) -> Numbers:
    # A fold that stopped early keeps the predictions of its last round.
    return np.concatenate(
        [
            part.start + _predict_rounds(booster, part.test.matrix, rounds)
            for part, booster in zip(parts, grown.boosters, strict=True)
        ]
    )


def _predict_rounds(booster: Any, matrix: NDArray[np.float32], rounds: int) -> Numbers:
    if not rounds:  # to XGBoost, a range that ends at 0 means all rounds
        return np.zeros(len(matrix))
    count = min(rounds, booster.num_boosted_rounds())
    added = booster.inplace_predict(matrix, iteration_range=(0, count), predict_type="margin")
    return np.asarray(added, dtype=np.float64)


def _grow_judged(part: _Part, parameters: Mapping[str, Any]) -> tuple[Any, Numbers]:
    # Losses are padded with the last one after an early stop, so that folds can be averaged round
    # by round.
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        dict(parameters),
        part.train_data,
        MAX_ROUNDS,
        evals=[(part.test_data, "test")],
        evals_result=history,
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    after = history["test"]["logloss"]
    losses = compute_log_loss(part.start, part.test.outcome)
    before = float(np.average(losses, weights=part.test.weights))
    return booster, np.array([before, *after, *after[-1:] * (MAX_ROUNDS - len(after))])
