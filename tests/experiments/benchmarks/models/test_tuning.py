"""The benchmark of tuning: differences paired by world, and fits that keep their budget."""

import pytest

from experiments.benchmarks.models import tuning
from experiments.benchmarks.models.tuning import (
    CANDIDATES,
    SIZES,
    TuningFit,
    report_tuning,
    run_tuning,
)
from experiments.benchmarks.samples import Plan


def make_fit(world, name, size, trials, loss):
    return TuningFit(world, name, size, trials, 1.5 + trials, loss, rounds=trials)


def test_differences_are_paired_by_world():
    """Gaps of 0.01 and 0.03: mean 0.02, deviation 0.01414, error 0.01."""
    losses = {"world-100": (0.60, 0.61), "world-101": (0.70, 0.73)}
    fits = [
        make_fit(world, name, size, trials, loss)
        for world, pair in losses.items()
        for name in CANDIDATES
        for size in SIZES
        for trials, loss in zip((0, 9), pair, strict=True)
    ]
    text = report_tuning(fits, 9).text
    assert text.startswith("SIMULATED: 2 drawn worlds")
    assert "| `xgboost` | 250 | 0 | 1.5 | 0.6500 |  | 0 of 2 |" in text
    assert "| `anchored_xgboost` | 1,000 | 9 | 10.5 | 0.6700 | +0.0200 ± 0.0100 | 2 of 2 |" in text


def test_every_candidate_is_fitted_with_and_without_trials(monkeypatch):
    monkeypatch.setattr(tuning, "SIZES", (60,))
    monkeypatch.setattr(tuning, "PLAN", Plan(most=60, tested=200, draws=10))
    fits = run_tuning(2, 4, jobs=1)
    settings = {(fit.world, fit.candidate, fit.courses, fit.trials) for fit in fits}
    worlds = ("world-100", "world-101")
    assert settings == {(w, name, 60, t) for w in worlds for name in CANDIDATES for t in (0, 4)}
    for fit in fits:
        assert 0.4 < fit.log_loss < 1.0
        assert fit.log_loss != pytest.approx(0.6931, abs=1e-4)
