"""The benchmark of tuning: differences paired by world, and fits that keep their budget."""

import pytest

from experiments.benchmarks.models import tuning
from experiments.benchmarks.models.tuning import CANDIDATES, SIZES, Found, describe, run_benchmark
from experiments.benchmarks.samples import Plan


def make_found(world, name, size, trials, loss):
    return Found(world, name, size, trials, 1.5 + trials, loss, rounds=trials)


def test_differences_are_paired_by_world_with_their_standard_error():
    """Gaps of .01 and .03: mean .02, deviation .01414, error .01."""
    losses = {"world-100": (0.60, 0.61), "world-101": (0.70, 0.73)}
    found = [
        make_found(world, name, size, trials, loss)
        for world, pair in losses.items()
        for name in CANDIDATES
        for size in SIZES
        for trials, loss in zip((0, 9), pair, strict=True)
    ]
    text = describe(found, 9)
    assert text.startswith("SIMULATED: 2 drawn worlds")
    assert "| `xgboost` | 250 | 0 | 1.5 | 0.6500 |  | 0 of 2 |" in text
    assert "| `anchored_xgboost` | 1,000 | 9 | 10.5 | 0.6700 | +0.0200 ± 0.0100 | 2 of 2 |" in text


def test_every_candidate_is_fitted_with_and_without_trials_in_every_world(monkeypatch):
    monkeypatch.setattr(tuning, "SIZES", (60,))
    monkeypatch.setattr(tuning, "PLAN", Plan(most=60, tested=200, draws=10))
    found = run_benchmark(2, 4, jobs=1)
    asked = {(one.world, one.candidate, one.courses, one.trials) for one in found}
    worlds = ("world-100", "world-101")
    assert asked == {(w, name, 60, t) for w in worlds for name in CANDIDATES for t in (0, 4)}
    for one in found:
        assert 0.4 < one.log_loss < 1.0
        assert one.log_loss != pytest.approx(0.6931, abs=1e-4)
