"""Resampling: the chosen candidate developed again on resampled patients, for its intervals.

Work is spread over processes of one thread each: threads inside XGBoost stall one another as soon
as a core has a second job.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from features.base.commands import track
from features.model.equation import Equation
from features.model.terms import LINEAR, stack_terms
from training.candidates.base import Candidate, Fit
from training.candidates.calibration import Calibration
from training.candidates.evidence.published import SITE_SPREAD
from training.study.design import Design
from training.study.split import derive_seed, draw_patients
from training.study.study import Study

# Places among the seeds derived from the study's own; see training.validation.units.
REDEVELOPMENT_SEED = 2
FINAL_SEED = 4
# Trees are slow to grow, and beside a posterior re-developments add little: a share is enough.
FEWER_SHARE = 4
FEWEST_REDEVELOPMENTS = 50
# How much of the moves of re-developments is added to the posterior's draws. All of it would count
# sampling twice; set on drawn worlds, so that the interval holds the truth as often as it says.
MOVED = 0.55


def redevelop(study: Study, design: Design, candidate: Candidate, fit: Fit, jobs: int) -> Equation:
    """Fit a candidate again on resampled patients, and join the versions to its equation.

    What the candidate chose by cross-validation (penalty, depth, rounds, calibration) is held. A
    candidate with a posterior is drawn from that, and each draw moved as its re-development moves.
    """
    count = study.uncertainty.redevelopments
    fewer = max(FEWEST_REDEVELOPMENTS, count // FEWER_SHARE)
    if fit.equation.boosters:
        count = fewer
    number = range((min(count, fewer) if fit.posterior else count) if design.size else 0)
    tasks = (delayed(redevelop_once)(study.seed, design, candidate, fit, one) for one in number)
    found = dict(track(spread(jobs, tasks), len(number), "re-developments"))
    again = [found[one] for one in number]
    if fit.posterior is None:
        return join_versions([fit.equation, *again])
    generator = np.random.default_rng(derive_seed(study.seed, REDEVELOPMENT_SEED))
    drawn = fit.posterior.draw(count, generator)
    moved = move_versions(drawn, join_versions(again)) if again else drawn
    calibration = Calibration(*fit.equation.terms.calibration[0])
    return join_versions([fit.equation, calibration.apply_to(moved)])


def move_versions(drawn: Equation, again: Equation) -> Equation:
    """Move draws from a posterior as re-developments on resampled patients move.

    A posterior is as narrow as it would be if the model held. How much the model moves from sample
    to sample shows where it does not; a part of that is added. With fewer re-developments than
    draws, each moves several.
    """
    moved, versions = {}, len(drawn.terms.intercept)
    for name in LINEAR:
        found = getattr(again.terms, name)
        moves = MOVED * (found - found.mean(axis=0))
        moved[name] = getattr(drawn.terms, name) + np.resize(moves, (versions, *moves.shape[1:]))
    return replace(drawn, terms=replace(drawn.terms, **moved))


def join_versions(equations: Sequence[Equation]) -> Equation:
    """Join the versions of equations that read the same features."""
    terms = stack_terms([equation.terms for equation in equations])
    boosters = tuple(booster for equation in equations for booster in equation.boosters)
    return replace(equations[0], terms=terms, boosters=boosters)


def redevelop_once(
    seed: int, design: Design, candidate: Candidate, fit: Fit, number: int
) -> tuple[int, Equation]:
    """Fit on one bootstrap sample of patients."""
    fit_seed = derive_seed(seed, REDEVELOPMENT_SEED, number)
    generator = np.random.default_rng(fit_seed)
    rows = draw_patients(design, generator)
    if fit.posterior is not None:
        return number, fit.posterior.redevelop(rows, fit_seed)
    equation = candidate.refit(design.select(rows), fit.settings, fit_seed)
    return number, place_unseen(equation, generator)


def place_unseen(equation: Equation, generator: np.random.Generator) -> Equation:
    """Give a site never seen an effect of its own, as far off as sites are from one another."""
    if not equation.sites:
        return equation
    sites = equation.terms.sites.copy()
    sites[:, -1] = SITE_SPREAD * generator.standard_normal(len(sites))
    return replace(equation, terms=replace(equation.terms, sites=sites))


def spread(jobs: int, tasks: Iterator[Any]) -> Iterator[Any]:
    """Run tasks over processes, and give their results as they come.

    Each on one thread, a single process included: sums over more come out with other last digits.
    """
    if jobs == 1:
        return (run_alone(*task) for task in tasks)
    pool = Parallel(jobs, "loky", return_as="generator_unordered", inner_max_num_threads=1)
    results: Iterator[Any] = pool(tasks)
    return results


def run_alone(function: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Run a task on one thread."""
    with threadpool_limits(1):
        return function(*arguments, **named)
