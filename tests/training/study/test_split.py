"""Splits: what belongs together stays together, and every fold can say something."""

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
    design = make_design(200)
    folds = split_outer(make_study(folds=4), design, 0)
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    assert tested.tolist() == list(range(200))
    assert all(not set(fold.train) & set(fold.test) for fold in folds)


def test_repeats_differ_and_can_be_had_again(make_design):
    design, study = make_design(200), make_study(folds=4)
    first, second, again = (split_outer(study, design, repeat)[0].test for repeat in (0, 1, 0))
    assert first.tolist() == again.tolist()
    assert first.tolist() != second.tolist()


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_a_patients_courses_never_part(seed):
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, 40, size=120)
    outcome = generator.integers(0, 2, size=120).astype(float)
    for fold in split_stratified(outcome, patients, 4, seed):
        assert not set(patients[fold.train]) & set(patients[fold.test])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 5, 8]), st.sampled_from([10, 60, 400]))
def test_folds_are_those_of_scikit_learn(seed, folds, patients):
    generator = np.random.default_rng(seed)
    units = generator.integers(0, patients, size=160)
    outcome = (generator.random(160) < generator.choice([0.2, 0.5])).astype(float)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    expected = splitter.split(np.zeros(160), outcome.astype(int), units)
    for fold, (train, test) in zip(
        split_stratified(outcome, units, folds, seed), expected, strict=True
    ):
        assert fold.train.tolist() == train.tolist()
        assert fold.test.tolist() == test.tolist()


def test_a_sites_patients_never_part_when_sites_are_held_out(make_design):
    design = make_design(400, site_effects=(0.5, -0.5, 0.2, 0.0, 0.1, -0.1))
    for fold in split_outer(make_study(folds=3, hold_out="site"), design, 0):
        assert not set(design.sites[fold.train]) & set(design.sites[fold.test])


def test_a_patient_seen_at_two_sites_joins_them():
    patients, sites = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    assert join_groups(patients, sites).tolist() == [0, 0, 0, 1]


def test_every_fold_has_two_events_at_least(make_design):
    design = make_design(60, strength=0.3)
    for repeat in range(20):
        for fold in split_outer(make_study(folds=5), design, repeat):
            events = design.outcome[fold.test].sum()
            assert 2 <= events <= len(fold.test) - 2


def test_too_few_events_for_the_folds_are_refused_with_the_folds_that_would_do(make_design):
    design = make_design(60)
    events, others = np.flatnonzero(design.outcome == 1), np.flatnonzero(design.outcome == 0)
    few = design.select(np.concatenate([events[:6], others[:20]]))
    with pytest.raises(StudyError, match=r"validation.folds \(events\).*has 6 \(at most 3\)"):
        split_outer(make_study(folds=5), few, 0)
    assert len(split_outer(make_study(folds=3), few, 0)) == 3
    fewer = design.select(np.concatenate([events[:3], others[:20]]))
    with pytest.raises(StudyError, match="none are possible"):
        split_outer(make_study(folds=2), fewer, 0)


def test_holding_out_sites_needs_sites(make_design):
    with pytest.raises(StudyError, match="needs the site of every course"):
        split_outer(make_study(hold_out="site"), make_design(200), 0)


def test_inner_folds_are_empty_where_there_is_too_little(make_design):
    design = make_design(60)
    alike = design.select(np.flatnonzero(design.outcome == 1))
    assert split_inner(alike, 1) == []
    one = np.append(np.flatnonzero(design.outcome == 0), np.flatnonzero(design.outcome == 1)[0])
    assert split_inner(design.select(one), 1) == []
