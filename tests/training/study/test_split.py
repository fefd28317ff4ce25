"""Splits: a patient's courses stay together, and folds are balanced."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from features.base.errors import StudyError
from training.study.split import join_groups, split_inner, split_outer, split_stratified
from training.study.study import Study


def make_study(**validation):
    return Study(
        name="t", question="?", outcome="phq9.acute.response", seed=3, validation=validation
    )


def test_folds_divide_the_courses(make_design):
    folds = split_outer(make_design(200, study=make_study(folds=4)), 0)
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    assert tested.tolist() == list(range(200))
    assert all(not set(fold.train) & set(fold.test) for fold in folds)


def test_repeats_differ_and_are_reproducible(make_design):
    design = make_design(200, study=make_study(folds=4))
    first, second, again = (split_outer(design, repeat)[0].test for repeat in (0, 1, 0))
    assert first.tolist() == again.tolist()
    assert first.tolist() != second.tolist()


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_patient_stays_in_one_fold(seed):
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, 40, size=120)
    outcome = generator.integers(0, 2, size=120).astype(float)
    for fold in split_stratified(outcome, patients, 4, seed):
        assert not set(patients[fold.train]) & set(patients[fold.test])


def count_classes(outcome, units, folds, seed):
    """Events and non-events in each fold, ``[folds, 2]``."""
    tests = [fold.test for fold in split_stratified(outcome, units, folds, seed)]
    return np.array([[outcome[test].sum(), (1 - outcome[test]).sum()] for test in tests])


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 5, 8]))
def test_single_courses_are_dealt_evenly(seed, folds):
    """Counts of events, of non-events and of courses differ by at most one between folds."""
    generator = np.random.default_rng(seed)
    size = int(generator.integers(40, 160))
    outcome = (generator.random(size) < generator.choice([0.2, 0.5])).astype(float)
    counts = count_classes(outcome, np.arange(size), folds, seed)
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1


@pytest.mark.parametrize("patients", [12, 60, 400])
def test_folds_are_as_even_as_scikit_learns(patients):
    """With several courses per patient no split is perfect: on average as balanced by class."""
    ours, theirs = [], []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        units = generator.integers(0, patients, size=300)
        outcome = (generator.random(300) < 0.3).astype(float)
        classes = [outcome.sum(), (1 - outcome).sum()]
        ours.append((count_classes(outcome, units, 5, seed) / classes).std(axis=0).sum())
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        tests = [test for _, test in splitter.split(units, outcome.astype(int), units)]
        counts = [[outcome[test].sum(), (1 - outcome[test]).sum()] for test in tests]
        theirs.append((np.array(counts) / classes).std(axis=0).sum())
    assert np.mean(ours) <= np.mean(theirs)


def test_rarer_class_weighs_more():
    """The event goes to the fold without events, although that has more courses."""
    units = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    outcome = np.array([0.0, 0, 0, 0, 1, 0, 0, 1])
    for seed in range(5):
        assert count_classes(outcome, units, 2, seed)[:, 0].tolist() == [1, 1]


def test_order_of_courses_does_not_matter():
    generator = np.random.default_rng(1)
    units, outcome = generator.integers(0, 50, 120), generator.integers(0, 2, 120).astype(float)
    order = generator.permutation(120)
    folds = split_stratified(outcome, units, 4, 7)
    shuffled = split_stratified(outcome[order], units[order], 4, 7)
    for fold, other in zip(folds, shuffled, strict=True):
        assert fold.test.tolist() == np.sort(order[other.test]).tolist()


def test_seeds_deal_differently_and_repeatably():
    outcome, units = np.arange(40) % 2.0, np.arange(40)
    first, again, other = (
        [fold.test.tolist() for fold in split_stratified(outcome, units, 4, seed)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_site_stays_in_one_fold_if_held_out(make_design):
    design = make_design(400, site_effects=(0.5, -0.5, 0.2, 0.0, 0.1, -0.1))
    for fold in split_outer(replace(design, study=make_study(folds=3, hold_out="site")), 0):
        assert not set(design.sites[fold.train]) & set(design.sites[fold.test])


def test_a_patient_seen_at_two_sites_joins_them():
    patients, sites = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    assert join_groups(patients, sites).tolist() == [0, 0, 0, 1]


def test_every_fold_has_two_of_each_class(make_design):
    design = make_design(60, strength=0.3)
    for repeat in range(20):
        for fold in split_outer(replace(design, study=make_study(folds=5)), repeat):
            events = design.outcome[fold.test].sum()
            assert 2 <= events <= len(fold.test) - 2


def test_too_few_events_for_the_folds_are_refused(make_design):
    design = make_design(60)
    events, others = np.flatnonzero(design.outcome == 1), np.flatnonzero(design.outcome == 0)
    few = design.select(np.concatenate([events[:6], others[:20]]))
    with pytest.raises(StudyError, match=r"validation.folds \(events\).*has 6 \(at most 3\)"):
        split_outer(replace(few, study=make_study(folds=5)), 0)
    assert len(split_outer(replace(few, study=make_study(folds=3)), 0)) == 3
    fewer = design.select(np.concatenate([events[:3], others[:20]]))
    with pytest.raises(StudyError, match="none are possible"):
        split_outer(replace(fewer, study=make_study(folds=2)), 0)


def test_fewer_sites_than_folds_are_refused_as_such(make_design):
    design = make_design(120, site_effects=(0.5, -0.5))
    with pytest.raises(StudyError) as refused:
        split_outer(replace(design, study=make_study(folds=3, hold_out="site")), 0)
    (problem,) = refused.value.problems
    assert (problem.field, problem.rule) == ("validation.folds", "site")
    assert "2 sites make at most 2 folds" in problem.message
    assert len(split_outer(replace(design, study=make_study(folds=2, hold_out="site")), 0)) == 2
    joined = replace(design, patients=np.zeros(120, dtype=np.int64))
    with pytest.raises(StudyError, match="of one site, or of sites that share patients"):
        split_outer(replace(joined, study=make_study(folds=2, hold_out="site")), 0)
    with pytest.raises(StudyError, match="all courses are of one patient"):
        split_outer(replace(joined, study=make_study(folds=2)), 0)


def test_events_in_too_few_sites_are_refused_as_such(make_design):
    design = make_design(120, site_effects=(0, 0, 0, 0))
    one_site = replace(design, outcome=(design.sites == 0).astype(float))
    with pytest.raises(StudyError, match="one class is in 1 of the 4 sites"):
        split_outer(replace(one_site, study=make_study(folds=3, hold_out="site")), 0)


def test_holding_out_sites_needs_sites(make_design):
    with pytest.raises(StudyError, match="needs the site of every course"):
        split_outer(make_design(200, study=make_study(hold_out="site")), 0)


def test_inner_folds_need_two_of_each_class(make_design):
    design = make_design(60)
    alike = design.select(np.flatnonzero(design.outcome == 1))
    assert split_inner(alike, 1) == []
    rows = np.append(np.flatnonzero(design.outcome == 0), np.flatnonzero(design.outcome == 1)[0])
    assert split_inner(design.select(rows), 1) == []
