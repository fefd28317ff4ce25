"""Intervals: their scales, sums over patients, and undefined ends."""

import numpy as np
import pytest

from features.model.card import Measure
from training.measures.bootstrap import summarise_draws
from training.measures.intervals import (
    Estimated,
    correct_few,
    make_measure,
    sum_by_patient,
)


def test_an_interval_is_symmetric_on_its_scale():
    interval = Estimated(2.0, 0.5).make_interval(0.9, "log")
    assert interval.low * interval.high == pytest.approx(4.0)
    assert interval.high == pytest.approx(2 * np.exp(1.6448536 * 0.25))


@pytest.mark.parametrize(("value", "scale"), [(0.0, "log"), (1.0, "logit"), (0.0, "logit")])
def test_value_outside_the_scale_has_no_interval(value, scale):
    assert Estimated(value, 0.1).make_interval(0.95, scale) == Measure(value=value)


def test_undefined_values_are_none_and_not_nan():
    assert make_measure(np.nan, 0.0, 1.0) == Measure(value=None)
    assert make_measure(0.5, np.nan, 1.0) == Measure(value=0.5)
    assert summarise_draws(0.5, np.full(3, np.nan), 0.95) == Measure(value=0.5)


def test_one_patient_tells_nothing_of_how_patients_differ():
    assert np.isnan(correct_few(1))
    assert correct_few(5) == 1.25


def test_sums_over_patients_keep_columns_apart():
    parts = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert sum_by_patient(parts, np.array([1, 0, 1])).tolist() == [[2.0, 20.0], [5.0, 50.0]]
