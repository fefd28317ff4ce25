"""The bootstrap draws whole patients, and keeps the weights of their courses."""

import numpy as np
import pytest

from training.measures import bootstrap
from training.measures.bootstrap import IntervalSettings, resample

SETTINGS = IntervalSettings(samples=50, level=0.95, seed=1)


@pytest.fixture
def draw(predict):
    """Draws the weights of courses in 50 samples."""

    def weigh(patients, weights=None):
        size = len(patients)
        predictions = predict(np.full(size, 0.5), np.zeros(size), np.array(patients), weights)
        return resample(lambda drawn: drawn, predictions, SETTINGS)

    return weigh


def test_patients_are_drawn_whole_and_keep_weights(draw):
    drawn = draw([0, 0, 1, 2], np.array([1.0, 3.0, 1.0, 0.5]))
    assert drawn.shape == (50, 4)
    assert np.array_equal(drawn[:, 1], 3 * drawn[:, 0])
    assert np.array_equal(drawn[:, 0] + drawn[:, 2] + 2 * drawn[:, 3], np.full(50, 3.0))


def test_resampling_keeps_a_patients_courses_together(draw):
    weights = draw([0, 0, 1, 2, 2, 2])
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_blocks_of_samples_are_drawn_apart(draw, monkeypatch):
    """However many fit a block, there are as many samples, and no block repeats another."""
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", 6 * 20)
    weights = draw([0, 0, 1, 2, 2, 2])
    assert len(weights) == 50
    assert (weights[:20] != weights[20:40]).any()
