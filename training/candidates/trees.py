"""Trees: the only file of training that names XGBoost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from features.equation import Equation
from training.candidates.base import Settings
from training.design import Design
from training.evaluate import compare_losses, compute_log_loss
from training.evidence import SIGNS
from training.split import Fold
from training.tuning import Range, Search, Space, Tuning, TuningTrial, choose_trial, try_settings

Numbers = NDArray[np.float64]
Start = Callable[[Design], Equation]

MOST_ROUNDS = 400
PATIENCE = 30
# No scale_pos_weight: it would ruin the probabilities.
CONSTANTS: Mapping[str, Any] = MappingProxyType(
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
class Part:
    """An inner fold, ready for trees to be grown on it.

    Parameters
    ----------
    learned, judged
        XGBoost's matrices of the courses learned from and of the others.
    test
        The others again.
    reached
        Their log-odds before the first round.
    """

    learned: Any
    judged: Any
    test: Design
    reached: Numbers


@dataclass(frozen=True)
class Choice:
    """The settings chosen on inner folds.

    Parameters
    ----------
    rounds
        With the lowest log loss.
    margins
        Log-odds of courses not learned from, before and after each round:
        ``float64[courses in the folds' tests, 1 + rounds]``.
    losses
        Each course's log loss likewise.
    trials
        All that were tried.
    """

    settings: Settings
    rounds: int
    margins: Numbers
    losses: Numbers
    trials: tuple[TuningTrial, ...]

    @property
    def best(self) -> Numbers:
        """Each course's log loss after so many rounds."""
        losses: Numbers = self.losses[:, self.rounds]
        return losses


def choose_trees(
    name: str, design: Design, folds: list[Fold], begin: Start, tuning: Tuning, seed: int
) -> Choice:
    """Choose settings by log loss on inner folds.

    The fixed ones give way only to settings that are better by more than a standard error: the best
    of many trials is in part the luckiest.

    Parameters
    ----------
    name
        The candidate's.
    begin
        Fits the equation that the trees start from.
    """
    rows = np.concatenate([fold.test for fold in folds])
    weights = design.weights[rows]
    parts = [make_part(design, fold, begin) for fold in folds]
    journal = tuning.open_journal(name, design, seed, {"xgboost": xgboost.__version__})

    def judge(settings: Settings) -> Iterator[float]:
        return judge_parameters(parts, make_parameters(design, settings, seed))

    trials = try_settings(Search(SPACE, judge, len(parts), seed, journal), tuning.trials)

    def follow(settings: Settings) -> Choice:
        parameters = make_parameters(design, settings, seed)
        margins = np.concatenate([follow_rounds(part, parameters) for part in parts])
        losses = compute_log_loss(margins, design.outcome[rows][:, None])
        rounds = int(np.average(losses, axis=0, weights=weights).argmin())
        return Choice(settings, rounds, margins, losses, trials)

    held, found = choose_trial(trials[: len(SPACE.fixed)]), choose_trial(trials)
    chosen = follow(held.settings)
    if found is held:
        return chosen
    other = follow(found.settings)
    gain = compare_losses(other.best, chosen.best, design.patients[rows], weights)
    return other if gain.mean < -gain.error else chosen


def make_part(design: Design, fold: Fold, begin: Start) -> Part:
    """Fit where the trees of an inner fold start, and build its matrices."""
    train, test = design.select(fold.train), design.select(fold.test)
    start = begin(train)
    offset, reached = (start.compute_log_odds(part.columns)[:, 0] for part in (train, test))
    judged = xgboost.DMatrix(
        test.matrix, label=test.outcome, weight=test.given_weights, base_margin=reached, nthread=1
    )
    return Part(make_data(train, offset), judged, test, reached)


def make_data(design: Design, offset: Numbers) -> Any:
    """Build XGBoost's matrix, starting from an offset in log-odds."""
    return xgboost.QuantileDMatrix(
        design.matrix,
        label=design.outcome,
        weight=design.given_weights,
        base_margin=offset,
        nthread=1,
    )


def make_parameters(design: Design, settings: Settings, seed: int) -> dict[str, Any]:
    """Build XGBoost's parameters, with the evidenced sign of each feature."""
    chosen = {name: settings[name] for name in SPACE.ranges if name != "depth"}
    signs = tuple(SIGNS.get(feature.name, 0) for feature in design.features)
    held = {"max_depth": int(settings["depth"]), "seed": seed, "monotone_constraints": signs}
    return {**CONSTANTS, **chosen, **held}


def grow_trees(design: Design, start: Equation, settings: Settings, seed: int) -> Any:
    """Grow trees with given settings for a given number of rounds from where an equation ends."""
    offset = start.compute_log_odds(design.columns)[:, 0]
    parameters = make_parameters(design, settings, seed)
    return xgboost.train(parameters, make_data(design, offset), int(settings["rounds"]))


def add_trees(start: Equation, trees: Any) -> Equation:
    """Add trees to an equation of one version."""
    if not trees.num_boosted_rounds():
        return start
    return replace(start, terms=replace(start.terms, trees=np.ones(1)), boosters=(trees,))


def judge_parameters(parts: list[Part], parameters: Mapping[str, Any]) -> Iterator[float]:
    """Give the log loss at the best round of the inner folds so far, after each of them."""
    total, counted = np.zeros(1 + MOST_ROUNDS), 0.0
    for part in parts:
        weight = part.test.weights.sum()
        total, counted = total + weight * lose_rounds(part, parameters), counted + weight
        yield float(total.min() / counted)


def lose_rounds(part: Part, parameters: Mapping[str, Any]) -> Numbers:
    """Compute the log loss of an inner fold before and after each round, ``[1 + rounds]``.

    After an early stop it stays as it is.
    """
    reached = compute_log_loss(part.reached[:, None], part.test.outcome[:, None])
    before = np.average(reached, axis=0, weights=part.test.weights)
    _, after = grow_judged(part, parameters)
    return np.concatenate([before, after, np.repeat(after[-1:], MOST_ROUNDS - len(after))])


def follow_rounds(part: Part, parameters: Mapping[str, Any]) -> Numbers:
    """Compute the log-odds of an inner fold before and after each round, likewise."""
    booster, _ = grow_judged(part, parameters)
    steps = [
        booster.inplace_predict(
            part.test.matrix, iteration_range=(done, done + 1), predict_type="margin"
        )
        for done in range(booster.num_boosted_rounds())
    ]
    steps += [np.zeros(part.test.size)] * (MOST_ROUNDS - len(steps))
    return np.cumsum(np.column_stack([part.reached, *steps]), axis=1, dtype=np.float64)


def grow_judged(part: Part, parameters: Mapping[str, Any]) -> tuple[Any, Numbers]:
    """Grow trees on an inner fold until they no longer help the courses not learned from.

    Returns
    -------
    tuple
        The booster, and the log loss after each round.
    """
    found: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        dict(parameters),
        part.learned,
        MOST_ROUNDS,
        evals=[(part.judged, "test")],
        evals_result=found,
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    return booster, np.array(found["test"]["logloss"])
