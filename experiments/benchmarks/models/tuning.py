"""The benchmark of tuning: cost and gain of hyperparameter trials for boosted trees."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np
from joblib import delayed

from experiments.benchmarks.methods.methods import predict_courses
from experiments.benchmarks.report import Report, Section, format_table
from experiments.benchmarks.samples import Plan, prepare_world, take_courses
from experiments.benchmarks.scores import MIN_PROBABILITY, compute_expected_loss
from features.base.commands import track
from training.candidates.registry import make_candidates
from training.candidates.tuning import Tuning
from training.study.parts import ESTIMATE_LEVEL
from training.validation.resample import spread

# Not among the worlds in which candidates and peers are compared.
_FIRST_WORLD = 100
CANDIDATES = ("xgboost", "anchored_xgboost")
SIZES = (250, 1000)
PLAN = Plan(most=max(SIZES), draws=40)
_HEADING = ["candidate", "courses", "trials", "fit, s", "log loss", "difference", "with trees"]


@dataclass(frozen=True)
class TuningFit:
    """One fit."""

    world: str
    candidate: str
    courses: int
    trials: int
    seconds: float
    log_loss: float  # Expected at the world's own sites
    rounds: int  # Trees grown


def run_tuning(worlds: int, trials: int, jobs: int) -> list[TuningFit]:
    """Fit each candidate in each world, without and with tuning trials."""
    settings = [
        (f"world-{_FIRST_WORLD + number}", name, size, budget)
        for number in range(worlds)
        for size in SIZES
        for name in CANDIDATES
        for budget in (0, trials)
    ]
    calls = (delayed(_fit_once)(*setting) for setting in settings)
    return list(track(spread(jobs, calls), len(settings), "tuning"))


def _fit_once(world: str, name: str, courses: int, trials: int) -> TuningFit:
    prepared = prepare_world(world, 0, PLAN)
    design, candidate = take_courses(prepared, courses), make_candidates(Tuning(trials))[name]
    start = perf_counter()
    fit = candidate.fit(design, courses)
    seconds = perf_counter() - start
    prediction = predict_courses(fit.equation, prepared.known.columns, ESTIMATE_LEVEL)
    estimate = np.clip(prediction.probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    loss = compute_expected_loss(estimate, prepared.known.attainable)
    rounds = int(fit.settings.get("rounds", 0))
    return TuningFit(world, name, courses, trials, seconds, loss, rounds)


def report_tuning(fits: Sequence[TuningFit], trials: int) -> Report:
    """Report on cost and gain."""
    worlds = len({fit.world for fit in fits})
    blocks = [
        f"SIMULATED: {worlds} drawn worlds; tested on {PLAN.tested:,} courses of each at its own "
        "sites. Differences are from no trials, paired by world, with their standard error.",
        format_table(_HEADING, _list_rows(fits, trials)),
    ]
    data = {"data": "SIMULATED", "fits": [asdict(fit) for fit in fits]}
    return Report([Section("benchmark tuning", "how-to/tune-trees.md", blocks)], data)


def _list_rows(fits: Sequence[TuningFit], trials: int) -> Iterator[list[str]]:
    for name in CANDIDATES:
        for size in SIZES:
            for budget in (0, trials):
                yield _list_cells([fit for fit in fits if fit.candidate == name], size, budget)


def _list_cells(fits: Sequence[TuningFit], courses: int, trials: int) -> list[str]:
    plain, tuned = (
        {fit.world: fit for fit in fits if (fit.courses, fit.trials) == (courses, budget)}
        for budget in (0, trials)
    )
    gaps = np.array([fit.log_loss - plain[world].log_loss for world, fit in tuned.items()])
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))
    return [
        f"`{next(iter(tuned.values())).candidate}`",
        f"{courses:,}",
        str(trials),
        f"{np.mean([fit.seconds for fit in tuned.values()]):.1f}",
        f"{np.mean([fit.log_loss for fit in tuned.values()]):.4f}",
        f"{gaps.mean():+.4f} ± {error:.4f}" if trials else "",
        f"{sum(fit.rounds > 0 for fit in tuned.values())} of {len(tuned)}",
    ]
