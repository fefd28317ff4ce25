"""Terms, calibration and transforms at their limits."""

from dataclasses import replace

import numpy as np
import pytest

from features.base.errors import ArtifactError
from features.model.calibration import calibrate_log_odds, compute_chord_slope
from features.model.matrix import Feature, build_matrix, compute_fall, list_features
from features.model.prediction import compute_probability, summarise_versions, weigh_ordered
from features.model.terms import Terms, count_units, dump_terms, multiply_pairs, parse_terms
from features.records.assessment import read_assessments


def make_terms():
    return Terms(
        intercept=np.zeros(2),
        present=np.zeros((2, 3)),
        missing=np.zeros((2, 3)),
        sites=np.zeros((2, 2)),
        trees=np.zeros(2),
        centre=np.zeros(3),
        scale=np.ones(3),
        pairs=np.array([[0, 2]]),
        products=np.zeros((2, 1)),
        calibration=np.tile([0.0, 1.0, 1.0], (2, 1)),
    )


def test_terms_are_read_back_as_they_were_written():
    terms = make_terms()
    for name, array in vars(parse_terms(dump_terms(terms))).items():
        assert np.array_equal(array, getattr(terms, name)), name


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("intercept", [0.0, np.nan]),
        ("present", np.zeros((2, 2))),
        ("missing", np.zeros((1, 3))),
        ("sites", np.zeros((2, 1))),
        ("trees", [0.0]),
        ("centre", np.zeros(2)),
        ("scale", [1.0, 0.0, 1.0]),
        ("pairs", [[0, 3]]),
        ("pairs", [[-1, 0]]),
        ("products", np.zeros((2, 2))),
        ("calibration", [[0.0, -0.1, 1.0], [0.0, 1.0, 1.0]]),
        ("calibration", [[0.0, 1.0, 1.0], [0.0, 1.0, -0.1]]),
    ],
)
def test_terms_that_do_not_fit_are_refused(name, array):
    make_terms().check(features=3, sites=1)
    with pytest.raises(ArtifactError):
        replace(make_terms(), **{name: np.asarray(array)}).check(features=3, sites=1)


def test_a_calibration_may_be_flat_but_not_falling():
    flat = replace(make_terms(), calibration=np.zeros((2, 3)))
    flat.check(features=3, sites=1)


def test_products_count_at_most_three_units_either_way():
    units = count_units(np.array([[0.0, 99.0, -99.0, 2.9]]), np.zeros(4), np.ones(4))
    assert units.tolist() == [[0, 3, -3, 2.9]]


def test_squares_are_centred_and_products_are_not():
    units = np.array([[2.0, 3.0]])
    assert multiply_pairs(units, np.array([[0, 0], [0, 1]])).tolist() == [[3, 6]]


def test_beta_calibration_has_two_slopes():
    """One applies below even odds, the other above."""
    log_odds = np.array([[-20.0], [0.0], [20.0]])
    calibrated = calibrate_log_odds(log_odds, np.array([[0.3, 0.5, 2.0]]))[:, 0]
    middle = 0.3 + (2.0 - 0.5) * np.log(2)
    assert calibrated == pytest.approx([0.3 - 10, middle, 0.3 + 40], abs=1e-6)


def test_the_chord_joins_reference_and_row():
    calibration = np.array([0.1, 0.5, 2.0])
    log_odds, reference = np.array([1.5, 0.2]), np.array([-1.0, 0.2])
    slope = compute_chord_slope(log_odds, reference, calibration)
    ends = [
        calibrate_log_odds(end[:, None], calibration[None])[:, 0] for end in (reference, log_odds)
    ]
    assert (ends[1] - ends[0])[0] == pytest.approx(slope[0] * 2.5)
    assert slope[1] == pytest.approx(2.0 - 1.5 / (1 + np.exp(0.2)), abs=1e-5)


def test_each_transform_at_its_limits():
    def compute(name, transform, parameter, values):
        rows = [{"patient_id": "a", "condition": "depression", "phq9": 9, name: value}
                for value in values]  # fmt: skip
        feature = Feature(name="f", field=name, transform=transform, parameter=parameter)
        return build_matrix(read_assessments(rows), [feature])[:, 0].tolist()

    assert compute("age", "value", 0, [44.5]) == [44.5]
    assert compute("age", "above", 65, [64.9, 65, 66]) == [0, 1, 1]
    assert compute("failed_antidepressants", "excess", 2, [1, 2, 3, 8, 9]) == [0, 0, 1, 6, 6]
    assert compute("episode_months", "log1p", 0, [0, 1]) == pytest.approx([0, np.log(2)])
    assert compute("sex", "level", 1, ["female", "male", "other"]) == [0, 1, 0]
    days = compute("assessed_on", "years", 20454.0, ["2025-01-01", "2026-01-01", "2026-02-01"])
    assert days == pytest.approx([-365 / 365.25, 0, 0])


def test_the_literatures_forms_are_these():
    names = ["age", "failed_antidepressants", "episode_months", "benzodiazepine_mg"]
    forms = {f.name: (f.transform, f.parameter) for f in list_features(names)}
    assert forms == {
        "age": ("value", 0),
        "age_from_65": ("above", 65),
        "failed_antidepressants": ("value", 0),
        "failed_antidepressants_beyond_2": ("excess", 2),
        "log_episode_months": ("log1p", 0),
        "benzodiazepine_mg": ("value", 0),
        "benzodiazepine_from_8_mg": ("above", 8),
    }


def test_falls_are_bounded_at_minus_100_percent():
    """A larger rise counts as one of 100 percent."""
    fall = compute_fall(np.array([20.0, 30, 5, 5]), np.array([10.0, 10, 10, 0]))
    assert fall.tolist() == pytest.approx([-100, -100, 50, np.nan], nan_ok=True)


def test_probability_of_one_number_is_one_number():
    """An array without a dimension negates to a number, into which nothing can be written."""
    assert float(compute_probability(np.array(0.0))) == 0.5


def test_quantiles_are_interpolated_as_numpy_does():
    values = np.sort(np.random.default_rng(1).normal(size=37))
    low, high, mean = values @ weigh_ordered(37, 0.8)
    assert [low, high] == pytest.approx(np.quantile(values, [0.1, 0.9]).tolist())
    assert mean == pytest.approx(values.mean())


def test_interval_holds_estimate_and_size_follows_variance():
    log_odds = np.array([[3.0, *np.linspace(-1, 1, 9)]])
    summary = summarise_versions(log_odds, 0.8)
    others = 1 / (1 + np.exp(-log_odds[0, 1:]))
    share = 1 / (1 + np.exp(-3.0))
    assert summary.high[0] == summary.probability[0] == pytest.approx(share)
    assert summary.low[0] == pytest.approx(np.quantile(others, 0.1))
    assert summary.effective_sample_size[0] == pytest.approx(share * (1 - share) / others.var())
