"""The ceiling: how near a model fitted on very many simulated courses comes to the attainable.

The attainable probability claims that no model exceeds it, so models that could are tried. They
learn from the true probability of every course instead of its outcome, which is as informative as
many times as many courses. One starts from nothing; the other starts from the attainable
probability and looks for anything that it leaves out.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

from experiments.benchmarks.scores import compute_expected_loss
from experiments.simulator import World, draw_new_sites, make_sites, simulate, write_simulation
from experiments.simulator.published import LATENTS
from features.base.arrays import Numbers
from features.base.commands import say, track
from features.model.matrix import build_matrix, list_features
from features.model.prediction import compute_probability
from features.records.cohort import read_cohort

Matrix = NDArray[np.float32]

# Courses simulated at a time, to bound memory.
_PART = 25_000
# Seeds far from those of the parts, which count from 1, so that no courses are shared.
_TEST_PATIENTS, _TEST_SEED, _TEST_DRAWS = 20_000, 900_001, 600
_CORRECTED_PATIENTS, _CORRECTED_SEED, _CORRECTED_DRAWS = 50_000, 900_002, 300
_CHECK_EVERY = 10  # courses; a tenth decides when boosting stops
_ROUNDS, _PATIENCE = 4_000, 40
_TREES = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.04, "min_child_weight": 20.0}
_TREES |= {"subsample": 0.7, "colsample_bytree": 0.5, "nthread": 1, "seed": 1}
_FIELDS = (*(name for name in LATENTS if name != "female"), "sex", "condition", "route")


def measure_ceiling(world: World, patients: int, new_sites: int) -> Mapping[str, float]:
    """Measure expected log losses on new courses.

    Parameters
    ----------
    new_sites
        With 0 all courses are at the world's own sites, which the models know; otherwise each
        part of them is at this many sites of its own, and models do not know which.

    Returns
    -------
    mapping
        Nats per course: of the base rate, the fitted model, the attainable probability, the
        attainable probability corrected by trees, and the truth.
    """
    seeds = range(1, 1 + -(-patients // _PART))
    parts = [_draw_part(world, seed, new_sites) for seed in track(seeds, len(seeds), "courses")]
    matrix, truth, _ = (np.concatenate(values) for values in zip(*parts, strict=True))
    few, few_truth, few_margin = _draw_part(
        world, _CORRECTED_SEED, new_sites, _CORRECTED_PATIENTS, _CORRECTED_DRAWS
    )
    tested, true, margin = _draw_part(world, _TEST_SEED, new_sites, _TEST_PATIENTS, _TEST_DRAWS)
    line = _fit_line(matrix, truth)
    say("fitting the model, then the correction")
    model = _fit_trees(matrix, truth, _follow_line(line, matrix))
    correction = _fit_trees(few, few_truth, few_margin)
    estimates = {
        "base_rate": np.full(len(true), truth.mean()),
        "model": _predict(model, tested, _follow_line(line, tested)),
        "attainable": compute_probability(margin),
        "corrected": _predict(correction, tested, margin),
        "truth": true,
    }
    return {name: compute_expected_loss(values, true) for name, values in estimates.items()}


def _draw_part(
    world: World, seed: int, new_sites: int, patients: int = _PART, draws: int = 0
) -> tuple[Matrix, Numbers, Numbers]:
    """Draw courses: recorded values, true probability, attainable log-odds (0 without draws)."""
    sites = draw_new_sites(world, new_sites, seed) if new_sites else make_sites(world)
    simulation = simulate(world, patients, seed, intake=True, sites=sites, draws=draws)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cohort.parquet"
        write_simulation(simulation.cohort, path)
        columns = read_cohort(path)
    day = columns.get_numbers("assessed_on")[:, None]
    extra = [day] if sites.new else [day, columns.get_texts("site")[:, None] == [sites.names]]
    matrix = np.hstack([build_matrix(columns, list_features(_FIELDS)), *extra]).astype(np.float32)
    truth = simulation.truth["probability"].to_numpy()
    if not draws:
        return matrix, truth, np.zeros_like(truth)
    attainable = simulation.truth["probability_observed"].to_numpy()
    return matrix, truth, np.log(attainable / (1 - attainable))


# By least squares on the true log-odds; gives column means and weights.
def _fit_line(matrix: Matrix, truth: Numbers) -> tuple[Numbers, Numbers]:
    means: Numbers = np.nan_to_num(np.nanmean(matrix, axis=0, dtype=float))
    target = np.log(truth / (1 - truth))
    weights, *_ = np.linalg.lstsq(_impute_means(matrix, means), target, rcond=None)
    return means, weights.astype(float)


def _follow_line(line: tuple[Numbers, Numbers], matrix: Matrix) -> Numbers:
    means, weights = line
    log_odds: Numbers = _impute_means(matrix, means) @ weights
    return log_odds


def _impute_means(matrix: Matrix, means: Numbers) -> Numbers:
    missing = np.isnan(matrix)
    return np.hstack([np.where(missing, 0, matrix - means), missing, np.ones((len(matrix), 1))])


def _fit_trees(matrix: Matrix, truth: Numbers, margin: Numbers) -> xgboost.Booster:
    """Boost trees from given log-odds towards the truth, until the checked courses gain no more."""
    checked = np.arange(len(truth)) % _CHECK_EVERY == 0
    fitted, stopped = (
        xgboost.DMatrix(matrix[rows], truth[rows], base_margin=margin[rows])
        for rows in (~checked, checked)
    )
    return xgboost.train(
        _TREES,
        fitted,
        _ROUNDS,
        evals=[(stopped, "checked")],
        early_stopping_rounds=_PATIENCE,
        verbose_eval=False,
    )


def _predict(model: xgboost.Booster, matrix: Matrix, margin: Numbers) -> Numbers:
    data = xgboost.DMatrix(matrix, base_margin=margin)
    probability: Numbers = model.predict(data, iteration_range=(0, model.best_iteration + 1))
    return probability.astype(float)
