"""The chosen candidate refitted on bootstrap samples of patients, for estimates' intervals."""

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
from training.candidates.export import count_affordable
from training.study.design import Design
from training.study.seeds import REDEVELOPMENT_SEED, derive_seed
from training.study.split import draw_patients

# Trees are slow to grow, and with a posterior, refits add little: a share of them is enough.
_SHARE = 4
# As many give a standard deviation to a tenth of itself.
_MIN_REFITS = 50
# The part of the refits' deviations that is added to the posterior's draws. All of it would count
# sampling error twice. Set on simulated worlds, so that intervals hold the truth at their level.
MOVED = 0.55


def redevelop(design: Design, candidate: Candidate, fit: Fit, jobs: int) -> Equation:
    """Refit a candidate on bootstrap samples; returns its equation with theirs as versions.

    Hyperparameters that the candidate chose by cross-validation (penalty, depth, rounds,
    calibration) stay fixed. If it has a posterior, versions are drawn from that, each shifted by
    the deviation of a refit.
    """
    study = design.study
    count = study.uncertainty.redevelopments
    fewer = max(_MIN_REFITS, count // _SHARE)
    if fit.equation.boosters:
        count = fewer
    if fit.equation.classifiers:
        count = min(count, fewer, count_affordable(fit.equation))
    numbers = range((min(count, fewer) if fit.posterior else count) if design.size else 0)
    tasks = (delayed(redevelop_once)(design, candidate, fit, number) for number in numbers)
    by_number = dict(track(spread(jobs, tasks), len(numbers), "bootstrap refits for intervals"))
    refits = [by_number[number] for number in numbers]
    if fit.posterior is None:
        return join_versions([fit.equation, *refits])
    generator = np.random.default_rng(derive_seed(study.seed, REDEVELOPMENT_SEED))
    draws = fit.posterior.draw(count, generator)
    shifted = shift_draws(draws, join_versions(refits)) if refits else draws
    calibration = Calibration(*fit.equation.terms.calibration[0])
    return join_versions([fit.equation, calibration.apply_to(shifted)])


def redevelop_once(
    design: Design, candidate: Candidate, fit: Fit, number: int
) -> tuple[int, Equation]:
    """Fit on one bootstrap sample of patients; returns the equation with the sample's number."""
    fit_seed = derive_seed(design.study.seed, REDEVELOPMENT_SEED, number)
    generator = np.random.default_rng(fit_seed)
    rows = draw_patients(design, generator)
    if fit.posterior is not None:
        return number, fit.posterior.redevelop(rows, fit_seed)
    equation = candidate.redevelop(design.select(rows), fit.settings, fit_seed)
    return number, _draw_unseen_site(equation, generator)


def _draw_unseen_site(equation: Equation, generator: np.random.Generator) -> Equation:
    # The last effect is that of a new site: drawn with the between-site SD, so that intervals there
    # include what is unknown of it.
    if not equation.sites:
        return equation
    sites = equation.terms.sites.copy()
    sites[:, -1] = SITE_SPREAD * generator.standard_normal(len(sites))
    return replace(equation, terms=replace(equation.terms, sites=sites))


def shift_draws(draws: Equation, refits: Equation) -> Equation:
    """Shift a posterior's draws by the deviations of bootstrap refits from their mean.

    A posterior is as narrow as it would be if its model were true. Refits show where it is not:
    part of their deviations is added. With fewer refits than draws, each shifts several.
    """
    shifted, count = {}, len(draws.terms.intercept)
    for name in LINEAR:
        terms = getattr(refits.terms, name)
        # Only deviations from their mean are added: what all refits share is not sampling error.
        deviations = MOVED * (terms - terms.mean(axis=0))
        shifted[name] = getattr(draws.terms, name) + np.resize(
            deviations, (count, *deviations.shape[1:])
        )
    return replace(draws, terms=replace(draws.terms, **shifted))


def join_versions(equations: Sequence[Equation]) -> Equation:
    """Join equations with the same features into one with several versions."""
    terms = stack_terms([equation.terms for equation in equations])
    boosters = tuple(booster for equation in equations for booster in equation.boosters)
    classifiers = tuple(part for equation in equations for part in equation.classifiers)
    return replace(equations[0], terms=terms, boosters=boosters, classifiers=classifiers)


def spread(jobs: int, tasks: Iterator[Any]) -> Iterator[Any]:
    """Run tasks over processes; yields their results as they complete."""
    # One thread each, in a single process too: sums over several threads have other last digits,
    # and XGBoost's threads block one another as soon as a core has a second job.
    if jobs == 1:
        return (_run_on_one_thread(*task) for task in tasks)
    pool = Parallel(jobs, "loky", return_as="generator_unordered", inner_max_num_threads=1)
    results: Iterator[Any] = pool(tasks)
    return results


def _run_on_one_thread(function: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    with threadpool_limits(1):
        return function(*arguments, **named)
