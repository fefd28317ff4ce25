"""AUC and its standard error, against pROC and pairs counted singly."""

import numpy as np
import pytest
from sklearn import metrics

from training.measures.discrimination import (
    compute_grouped_auc,
    count_pairs,
    estimate_auc,
    place_courses,
)


@pytest.fixture(scope="module")
def reference(truth):
    return truth["discrimination"]


def read(measure):
    return [measure.low, measure.high]


def test_auc_and_delong_interval_agree_with_proc(courses, reference):
    auc = estimate_auc(courses.probability, courses.outcome)
    assert auc.value == pytest.approx(reference["auc"], abs=1e-9)
    assert auc.error == pytest.approx(reference["error"], abs=1e-9)
    assert read(auc.make_interval(0.95)) == pytest.approx(reference["interval"], abs=1e-9)
    logit = read(auc.make_interval(0.95, "logit"))
    assert logit == pytest.approx(reference["logit_interval"], abs=1e-9)


def test_ties_count_half_as_in_proc(courses, reference):
    assert len(np.unique(courses.other)) < 100
    auc = estimate_auc(courses.other, courses.outcome)
    assert auc.value == pytest.approx(reference["other_auc"], abs=1e-9)
    interval = read(auc.make_interval(0.95))
    assert interval == pytest.approx(reference["other_interval"], abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True], ids=["clustered", "weighted"])
def test_obuchowski_error_agrees_with_counted_pairs(courses, reference, weighted):
    weights = courses.weights if weighted else None
    auc = estimate_auc(courses.probability, courses.outcome, weights, courses.patients)
    expected = reference["weighted" if weighted else "clustered"]
    assert auc.value == pytest.approx(expected["auc"], abs=1e-9)
    assert auc.error == pytest.approx(expected["error"], abs=1e-9)


def test_copies_of_courses_keep_the_clustered_error(courses):
    """Every course twice: twice the rows, but as many patients."""
    twice = [
        np.tile(values, 2) for values in (courses.probability, courses.outcome, courses.patients)
    ]
    plain = estimate_auc(courses.probability, courses.outcome, None, courses.patients)
    doubled = estimate_auc(twice[0], twice[1], None, twice[2])
    assert doubled.error == pytest.approx(plain.error, abs=1e-12)
    assert estimate_auc(twice[0], twice[1]).error < 0.75 * plain.error


def test_weights_count_only_against_each_other(courses):
    plain = estimate_auc(courses.probability, courses.outcome, courses.weights)
    larger = estimate_auc(courses.probability, courses.outcome, 7 * courses.weights)
    assert (larger.value, larger.error) == pytest.approx((plain.value, plain.error))


def test_three_against_two_by_hand():
    """Events score 3, 2, 1 and non-events 2, 0: they win 2, 1.5 and 1 of 2 pairs."""
    score, outcome = np.array([3.0, 2, 1, 2, 0]), np.array([1.0, 1, 1, 0, 0])
    assert place_courses(score, outcome, np.ones(5)) == pytest.approx([1, 0.75, 0.5, 0.5, 1])
    auc = estimate_auc(score, outcome)
    assert auc.value == 0.75
    # Variances of placements 1/16 of three and 1/8 of two.
    assert auc.error**2 == pytest.approx((1 / 16) / 3 + (1 / 8) / 2)


def test_one_class_has_no_auc():
    auc = estimate_auc(np.array([0.1, 0.2]), np.ones(2))
    assert auc.make_interval(0.95, "logit").value is None


def test_auc_of_one_event_has_no_interval():
    auc = estimate_auc(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0, 0])).make_interval(0.95)
    assert (auc.value, auc.low, auc.high) == (0.0, None, None)


def test_a_hundred_thousand_courses_agree_with_wilcoxon():
    """Pairs are not formed: that would need 20 GB."""
    generator = np.random.default_rng(5)
    outcome = (generator.random(100_000) < 0.4).astype(float)
    score = generator.normal(0.5 * outcome, 1.0)
    ranks = np.empty(100_000)
    ranks[np.argsort(score)] = np.arange(1, 100_001)
    positive = outcome.sum()
    wilcoxon = ranks[outcome == 1].sum() - positive * (positive + 1) / 2
    expected = wilcoxon / (positive * (100_000 - positive))
    assert estimate_auc(score, outcome).value == pytest.approx(expected, abs=1e-12)


def test_the_interval_covers_as_often_as_it_says():
    generator, covered = np.random.default_rng(8), 0
    for _ in range(400):
        outcome = np.repeat([1.0, 0.0], 40)
        score = generator.normal(outcome, 1.0)
        auc = estimate_auc(score, outcome).make_interval(0.95, "logit")
        covered += auc.low < 0.7602499 < auc.high  # Phi(1 / sqrt 2)
    assert 0.92 < covered / 400 < 0.975


def test_weighted_pairs_agree_with_scikit_learn(courses):
    weights = np.random.default_rng(1).integers(0, 4, (3, 200)).astype(float)
    concordant, pairs = count_pairs(courses.other, courses.outcome, weights)
    for sample in range(3):
        expected = metrics.roc_auc_score(
            courses.outcome, courses.other, sample_weight=weights[sample]
        )
        assert concordant[sample] / pairs[sample] == pytest.approx(expected, abs=1e-12)


def test_pairs_by_hand_with_a_tie():
    """Pairs: 3>1, 3=3 (half), 2>1, 2<3: 2.5 of 4."""
    counts = count_pairs(np.array([3.0, 2, 1, 3]), np.array([1.0, 1, 0, 0]), np.ones((1, 4)))
    assert [count.tolist() for count in counts] == [[2.5], [4.0]]


def test_grouped_auc_ranks_within_groups():
    """Within groups 1 of 1 and 0 of 1 pairs are concordant; across groups it would be 3 of 4."""
    score, outcome = np.array([2.0, 1, 3, 4]), np.array([1.0, 0, 1, 0])
    groups = np.array([0, 0, 1, 1])
    assert compute_grouped_auc(score, outcome, np.ones((1, 4)), groups).tolist() == [0.5]
    without_pairs = compute_grouped_auc(score, outcome, np.ones((1, 4)), np.arange(4))
    assert np.isnan(without_pairs).all()
