"""Units of work: which courses are fitted on, and which are predicted."""

from dataclasses import replace

import numpy as np
import pytest

from training.study.study import Study
from training.validation.units import (
    draw_bootstrap,
    list_bootstraps,
    list_folds,
    list_latest_courses,
    list_sites,
    select_latest_courses,
)


def make_study(**validation):
    return Study(
        name="by-hand",
        question="?",
        outcome="phq9.acute.response",
        seed=1,
        validation={"folds": 3, "repeats": 2} | validation,
    )


@pytest.fixture
def at_sites(make_design):
    """120 courses of 60 patients, at three sites; ten patients were treated at two of them."""
    design = make_design(120, site_effects=(0.4, 0.0, -0.4), study=make_study())
    patients = np.repeat(np.arange(60), 2)
    sites = np.array([f"site-{person % 3}" for person in patients], dtype=object)
    sites[1:20:2] = [f"site-{(person + 1) % 3}" for person in range(10)]
    return replace(design, patients=patients, columns=design.columns.replace({"site": sites}))


def dated(design, days):
    return replace(design, columns=design.columns.replace({"assessed_on": np.array(days, float)}))


def test_each_repeat_holds_every_course_out_once(at_sites):
    for folds in list_folds(at_sites):
        assert sorted(np.concatenate([unit.test for unit in folds])) == list(range(120))
        for unit in folds:
            shared = set(at_sites.patients[unit.train]) & set(at_sites.patients[unit.test])
            assert not shared


def test_keys_and_seeds_of_units_are_unique(at_sites):
    units = [unit for folds in list_folds(at_sites) for unit in folds]
    units += [*list_bootstraps(at_sites, 30), *list_sites(at_sites)]
    assert len({unit.key for unit in units}) == len(units) == 6 + 30 + 3
    assert len({unit.seed for unit in units}) == len(units)


def test_bootstrap_samples_are_reproducible_and_of_complete_patients(at_sites):
    unit = draw_bootstrap(at_sites, 4)
    assert (unit.train == draw_bootstrap(at_sites, 4).train).all()
    counted = np.bincount(unit.train, minlength=120).reshape(60, 2)
    assert (counted[:, 0] == counted[:, 1]).all()
    assert counted.sum() == 120
    assert (unit.test == np.arange(120)).all()


def test_more_samples_leave_the_first_unchanged(at_sites):
    few, many = (list_bootstraps(at_sites, count) for count in (3, 8))
    assert all(
        (first.train == second.train).all() for first, second in zip(few, many, strict=False)
    )


def test_held_out_site_patients_are_not_in_training(at_sites):
    sites = at_sites.columns.get_texts("site")
    for index, unit in enumerate(list_sites(at_sites)):
        assert set(sites[unit.test]) == {f"site-{index}"}
        assert not set(at_sites.patients[unit.train]) & set(at_sites.patients[unit.test])


def test_courses_without_a_site_are_only_trained_on(at_sites):
    sites = at_sites.columns.get_texts("site").copy()
    sites[100:] = None
    design = replace(at_sites, columns=at_sites.columns.replace({"site": sites}))
    units = list_sites(design)
    assert max(unit.test.max() for unit in units) < 100
    assert all(set(range(100, 120)) <= set(unit.train) for unit in units)


def test_a_single_site_cannot_be_held_out(make_design):
    assert list_sites(make_design(60, site_effects=(0.0,))) == []
    assert list_sites(make_design(60)) == []


def test_latest_courses_are_predicted_from_earlier_ones(make_design):
    days = np.random.default_rng(5).permutation(200)
    design = dated(make_design(200), days)
    (unit,) = list_latest_courses(design)
    assert sorted(days[unit.test]) == list(range(150, 200))
    assert days[unit.train].max() < 150


def test_courses_of_one_day_stay_together(make_design):
    design = dated(make_design(100), np.repeat([1, 2, 3], [50, 10, 40]))
    assert set(select_latest_courses(design, 0.25)) == set(range(60, 100))


def test_patients_of_latest_courses_are_not_in_training(at_sites):
    design = dated(at_sites, np.arange(120)[::-1])
    (unit,) = list_latest_courses(replace(design, study=make_study(latest=0.21)))
    assert not set(design.patients[unit.train]) & set(design.patients[unit.test])


def test_no_course_is_latest_without_different_days(make_design):
    design = make_design(60)
    assert list_latest_courses(design) == []
    assert list_latest_courses(dated(design, np.full(60, 7))) == []
