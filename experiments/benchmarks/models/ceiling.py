"""The ceiling: how near a model fitted on very many simulated courses comes to the attainable.

What no model may exceed has to be shown not to be exceeded. The models here are told the true
probability of every course instead of its outcome, which is worth many times as many courses, and
see what is recorded. One starts from nothing; the other starts from the attainable probability
and looks for anything that it leaves out.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

from experiments.simulator import World, draw_new_sites, make_sites, simulate, write_simulation
from experiments.simulator.world import LATENTS
from features.base.arrays import Numbers
from features.base.commands import say, track
from features.model.matrix import build_matrix, list_features
from features.model.response_model import compute_probability
from features.records.cohort import read_cohort

PART = 25_000
TEST_PATIENTS, TEST_SEED, TEST_DRAWS = 20_000, 900_001, 600
CORRECTED_PATIENTS, CORRECTED_SEED, CORRECTED_DRAWS = 50_000, 900_002, 300
VALIDATION_SHARE = 0.1
ROUNDS, PATIENCE = 4_000, 40
TREES = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.04, "min_child_weight": 20.0}
TREES |= {"subsample": 0.7, "colsample_bytree": 0.5, "nthread": 1, "seed": 1}
FIELDS = (*(name for name in LATENTS if name != "female"), "sex", "condition", "route")


def measure_ceiling(world: World, patients: int, new_sites: int) -> Mapping[str, float]:
    """Measure expected log losses on courses that no model has seen.

    Parameters
    ----------
    new_sites
        With 0 all courses are at the world's own sites, which the models know; otherwise every
        part of them is at so many sites of its own, and models are not told which.

    Returns
    -------
    mapping
        Nats a course: of the base rate, the fitted model, the attainable probability, the
        attainable probability corrected by trees, and the truth.
    """
    seeds = range(1, 1 + -(-patients // PART))
    parts = [draw_part(world, seed, new_sites) for seed in track(seeds, len(seeds), "courses")]
    matrix, truth, _ = (np.concatenate(values) for values in zip(*parts, strict=True))
    few, few_truth, few_margin = draw_part(
        world, CORRECTED_SEED, new_sites, CORRECTED_PATIENTS, CORRECTED_DRAWS
    )
    seen, true, margin = draw_part(world, TEST_SEED, new_sites, TEST_PATIENTS, TEST_DRAWS)
    line = fit_line(matrix, truth)
    say("fitting the model, then the correction")
    model = fit_trees(matrix, truth, follow_line(line, matrix))
    correction = fit_trees(few, few_truth, few_margin)
    estimates = {
        "base_rate": np.full(len(true), truth.mean()),
        "model": predict(model, seen, follow_line(line, seen)),
        "attainable": compute_probability(margin),
        "corrected": predict(correction, seen, margin),
        "truth": true,
    }
    return {name: compute_loss(values, true) for name, values in estimates.items()}


def draw_part(
    world: World, seed: int, new_sites: int, patients: int = PART, draws: int = 0
) -> tuple[NDArray[np.float32], Numbers, Numbers]:
    """Draw courses: what is recorded, the true probability, and the attainable log-odds."""
    sites = draw_new_sites(world, new_sites, seed) if new_sites else make_sites(world)
    simulation = simulate(world, patients, seed, intake=True, sites=sites, draws=draws)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cohort.parquet"
        write_simulation(simulation.cohort, path)
        columns = read_cohort(path)
    day = columns.get_numbers("assessed_on")[:, None]
    extra = [day] if sites.new else [day, columns.get_texts("site")[:, None] == [sites.names]]
    matrix = np.hstack([build_matrix(columns, list_features(FIELDS)), *extra]).astype(np.float32)
    truth = simulation.truth["probability"].to_numpy()
    if not draws:
        return matrix, truth, np.zeros_like(truth)
    attainable = simulation.truth["probability_observed"].to_numpy()
    return matrix, truth, np.log(attainable / (1 - attainable))


def fit_line(matrix: NDArray[np.float32], truth: Numbers) -> tuple[Numbers, Numbers]:
    """Fit a line to the true log-odds; return column means, and weights."""
    means: Numbers = np.nan_to_num(np.nanmean(matrix, axis=0, dtype=float))
    target = np.log(truth / (1 - truth))
    weights, *_ = np.linalg.lstsq(fill_missing(matrix, means), target, rcond=None)
    return means, weights.astype(float)


def follow_line(line: tuple[Numbers, Numbers], matrix: NDArray[np.float32]) -> Numbers:
    """Compute the log-odds that a line gives."""
    means, weights = line
    found: Numbers = fill_missing(matrix, means) @ weights
    return found


def fill_missing(matrix: NDArray[np.float32], means: Numbers) -> Numbers:
    """Put means where values are missing, and say so in further columns."""
    missing = np.isnan(matrix)
    return np.hstack([np.where(missing, 0, matrix - means), missing, np.ones((len(matrix), 1))])


def fit_trees(matrix: NDArray[np.float32], truth: Numbers, margin: Numbers) -> xgboost.Booster:
    """Boost trees from some log-odds towards the truth, while courses kept aside gain by it."""
    aside = np.arange(len(truth)) % round(1 / VALIDATION_SHARE) == 0
    learned, checked = (
        xgboost.DMatrix(matrix[rows], truth[rows], base_margin=margin[rows])
        for rows in (~aside, aside)
    )
    return xgboost.train(
        TREES,
        learned,
        ROUNDS,
        evals=[(checked, "aside")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )


def predict(model: xgboost.Booster, matrix: NDArray[np.float32], margin: Numbers) -> Numbers:
    """Predict with the trees that served courses kept aside best."""
    data = xgboost.DMatrix(matrix, base_margin=margin)
    found: Numbers = model.predict(data, iteration_range=(0, model.best_iteration + 1))
    return found.astype(float)


def compute_loss(estimate: Numbers, truth: Numbers) -> float:
    """Compute the log loss to expect when outcomes follow the truth."""
    return float(-np.mean(truth * np.log(estimate) + (1 - truth) * np.log1p(-estimate)))
