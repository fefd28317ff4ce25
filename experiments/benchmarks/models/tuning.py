"""The benchmark of tuning: what trials of settings cost boosted trees, and what they gain."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
from joblib import delayed

from experiments.benchmarks.methods.methods import ask
from experiments.benchmarks.samples import Plan, prepare, take_courses
from experiments.benchmarks.scores import SUREST, compute_loss
from experiments.docs.reference import format_table
from features.base.commands import track
from training.candidates.registry import make_candidates
from training.candidates.tuning import Tuning
from training.study.parts import ESTIMATE_LEVEL
from training.validation.resample import spread

# Not among the worlds in which candidates and peers are compared.
FIRST_WORLD = 100
CANDIDATES = ("xgboost", "anchored_xgboost")
SIZES = (250, 1000)
PLAN = Plan(most=max(SIZES), draws=40)
HEADING = ["candidate", "courses", "trials", "fit, s", "log loss", "difference", "with trees"]


@dataclass(frozen=True)
class Found:
    """One fit.

    Parameters
    ----------
    log_loss
        To expect at the world's own sites.
    rounds
        Of the trees that were grown.
    """

    world: str
    candidate: str
    courses: int
    trials: int
    seconds: float
    log_loss: float
    rounds: int


def run_benchmark(worlds: int, trials: int, jobs: int) -> list[Found]:
    """Fit each candidate in each world, without trials and with so many."""
    places = [(f"world-{FIRST_WORLD + number}", size) for number in range(worlds) for size in SIZES]
    tasks = [
        delayed(fit_once)(world, name, size, budget)
        for world, size in places
        for name in CANDIDATES
        for budget in (0, trials)
    ]
    return list(track(spread(jobs, iter(tasks)), len(tasks), "tuning"))


def fit_once(world: str, name: str, courses: int, trials: int) -> Found:
    """Fit a candidate and ask it about courses whose truth is known."""
    prepared = prepare(world, 0, PLAN)
    design, candidate = take_courses(prepared, courses), make_candidates(Tuning(trials))[name]
    start = perf_counter()
    fit = candidate.fit(design, courses)
    seconds = perf_counter() - start
    said = ask(fit.equation, prepared.known.columns, ESTIMATE_LEVEL)
    estimate = np.clip(said.probability, SUREST, 1 - SUREST)
    loss = compute_loss(estimate, prepared.known.attainable)
    return Found(world, name, courses, trials, seconds, loss, int(fit.settings.get("rounds", 0)))


def describe(found: Sequence[Found], trials: int) -> str:
    """Describe what was found as a table."""
    worlds = len({one.world for one in found})
    return "\n".join(
        [
            f"SIMULATED: {worlds} drawn worlds; tested on {PLAN.tested:,} courses of each at its "
            "own sites. Differences are to no trials, paired by world, with their standard error.",
            "",
            format_table(HEADING, list(list_rows(found, trials))),
        ]
    )


def list_rows(found: Sequence[Found], trials: int) -> Iterator[list[str]]:
    """List the table's rows."""
    for name in CANDIDATES:
        for size in SIZES:
            for budget in (0, trials):
                yield describe_row([one for one in found if one.candidate == name], size, budget)


def describe_row(found: Sequence[Found], courses: int, trials: int) -> list[str]:
    """Describe one candidate at one size with one budget."""
    plain, tuned = (
        {one.world: one for one in found if (one.courses, one.trials) == (courses, budget)}
        for budget in (0, trials)
    )
    gaps = np.array([one.log_loss - plain[world].log_loss for world, one in tuned.items()])
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))
    return [
        f"`{next(iter(tuned.values())).candidate}`",
        f"{courses:,}",
        str(trials),
        f"{np.mean([one.seconds for one in tuned.values()]):.1f}",
        f"{np.mean([one.log_loss for one in tuned.values()]):.4f}",
        f"{gaps.mean():+.4f} ± {error:.4f}" if trials else "",
        f"{sum(one.rounds > 0 for one in tuned.values())} of {len(tuned)}",
    ]


def collect(found: Sequence[Found]) -> dict[str, Any]:
    """Collect what was found, for JSON."""
    return {"data": "SIMULATED", "fits": [asdict(one) for one in found]}
