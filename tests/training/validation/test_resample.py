"""Bootstrap refits: what varies between them, and what stays fixed."""

from dataclasses import replace

import numpy as np
import pytest
from joblib import delayed
from threadpoolctl import threadpool_info, threadpool_limits

from features.model.equation import ALL_VERSIONS
from training.candidates.calibration import Calibration
from training.candidates.registry import make_candidates
from training.study.split import draw_patients
from training.study.study import Study
from training.validation.resample import (
    MOVED,
    join_versions,
    redevelop,
    redevelop_once,
    shift_draws,
    spread,
)

CANDIDATES = make_candidates()

STUDY = Study(
    name="by-hand",
    question="?",
    outcome="phq9.acute.response",
    seed=1,
    uncertainty={"redevelopments": 20},
)


def say(equation, columns):
    return equation.compute_log_odds(columns, ALL_VERSIONS)


def test_draws_are_shifted_by_part_of_refit_deviations(make_design):
    design = make_design(150, site_effects=(0.6, -0.6, 0.0))
    fit = CANDIDATES["evidence_prior"].fit(design, 1)
    drawn = fit.posterior.draw(4, np.random.default_rng(1))
    samples = [draw_patients(design, np.random.default_rng(seed)) for seed in range(4)]
    again = join_versions([fit.posterior.redevelop(rows, 1) for rows in samples])
    new = make_design(60, seed=2, site_effects=(0.6, -0.6, 0.0, 0.3)).columns
    moves = say(again, new)
    by_hand = say(drawn, new) + MOVED * (moves - moves.mean(axis=1, keepdims=True))
    assert say(shift_draws(drawn, again), new) == pytest.approx(by_hand, abs=1e-9)


def test_with_fewer_refits_each_shifts_several_draws(make_design):
    design = make_design(150)
    fit = CANDIDATES["evidence_prior"].fit(design, 1)
    drawn = fit.posterior.draw(5, np.random.default_rng(1))
    samples = [draw_patients(design, np.random.default_rng(seed)) for seed in range(2)]
    again = join_versions([fit.posterior.redevelop(rows, 1) for rows in samples])
    apart = say(shift_draws(drawn, again), design.columns) - say(drawn, design.columns)
    assert apart[:, [2, 3, 4]] == pytest.approx(apart[:, [0, 1, 0]], abs=1e-9)
    assert np.abs(apart[:, 0] - apart[:, 1]).max() > 0.01


def test_refits_share_centre_and_scale_with_the_model(make_design):
    """Refits use the model's means and thresholds, so that their terms can be combined."""
    design = make_design(150)
    fit = CANDIDATES["evidence_prior"].fit(design, 1)
    _, again = redevelop_once(design, "evidence_prior", fit, 3)
    assert again.features == fit.equation.features
    assert (again.terms.centre == fit.equation.terms.centre).all()
    assert (again.terms.scale == fit.equation.terms.scale).all()
    assert not np.allclose(again.terms.present, fit.equation.terms.present)


@pytest.mark.parametrize("name", ["evidence_prior", "anchored_xgboost"])
def test_every_version_is_calibrated_as_the_model_is(make_design, name):
    design = make_design(150)
    fit = CANDIDATES[name].fit(design, 1)
    bent = Calibration(0.4, 0.9, 0.2)
    plain = redevelop(replace(design, study=STUDY), CANDIDATES[name], fit, jobs=1)
    fit = replace(fit, equation=bent.apply_to(fit.equation))
    equation = redevelop(replace(design, study=STUDY), CANDIDATES[name], fit, jobs=1)
    assert len(equation.terms.intercept) == 21
    for version in (0, 1, 20):
        expected = bent.apply(say(plain, design.columns)[:, version])
        assert say(equation, design.columns)[:, version] == pytest.approx(expected, abs=1e-9)


def test_refits_do_not_depend_on_processes(make_design):
    design = make_design(150)
    fit = CANDIDATES["evidence_prior"].fit(design, 1)
    first, second = (
        redevelop(replace(design, study=STUDY), CANDIDATES["evidence_prior"], fit, jobs)
        for jobs in (1, 2)
    )
    assert say(first, design.columns) == pytest.approx(say(second, design.columns), abs=1e-12)


def test_without_courses_draws_are_the_posteriors(make_design):
    design = make_design(30).select(np.arange(0))
    fit = CANDIDATES["evidence_prior"].fit(design, 1)
    equation = redevelop(replace(design, study=STUDY), CANDIDATES["evidence_prior"], fit, jobs=1)
    assert len(equation.terms.intercept) == 21
    assert np.ptp(equation.terms.intercept[1:]) > 0.5


def count_threads():
    """Count the threads that the loaded libraries may use at most."""
    return max(library["num_threads"] for library in threadpool_info())


def test_tasks_have_one_thread_in_one_process():
    """As in several processes: two threads would change the last digits, also on resuming."""
    with threadpool_limits(2):
        assert list(spread(1, iter([delayed(count_threads)()]))) == [1]
        assert count_threads() == 2
