"""Horizons: when each is read, and which comes after which."""

import pytest

from features.dictionary.horizon import CHECKPOINTS, HORIZONS

DAYS = {
    "day1": (0.5, 3),
    "week1": (4, 10),
    "week2": (11, 17),
    "acute": (14, 45),
    "week12": (60, 120),
    "month6": (121, 270),
}


def test_horizons_are_these_days_after_the_first_dose():
    days = {key: (horizon.earliest_days, horizon.latest_days) for key, horizon in HORIZONS.items()}
    assert days == DAYS


@pytest.mark.parametrize(
    ("first", "later"),
    [("day1", "week1"), ("week2", "acute"), ("acute", "week12"), ("week12", "month6")],
)
def test_a_later_horizon_comes_after(first, later):
    assert HORIZONS[later].comes_after(HORIZONS[first])
    assert not HORIZONS[first].comes_after(HORIZONS[later])
    assert not HORIZONS[first].comes_after(HORIZONS[first])


def test_every_horizon_but_the_last_is_a_checkpoint():
    assert [horizon.key for horizon in CHECKPOINTS] == list(DAYS)[:-1]
