"""A run killed during its bootstrap refits resumes to the same numbers."""

import json
import os
import signal
import time

import pytest

SETTINGS = (
    *("--set", 'candidates=["evidence_prior", "base_rate"]'),
    *("--set", "validation.profile=full", "--set", "validation.bootstraps=8"),
    *("--set", "validation.folds=3", "--set", "validation.resamples=100"),
    *("--set", "uncertainty.redevelopments=20"),
    "--json",
)
PATIENCE_SECONDS = 300


@pytest.fixture
def fit(small_cohort):
    return ("fit", "experiments/studies/demo.toml", "--cohort", small_cohort, *SETTINGS)


def count_kept(home, kind):
    return len(list(home.glob(f"validation/demo/*/{kind}-*.npz")))


def kill_once_kept(process, home, count):
    """Kill a run and its workers once this many bootstrap refits are on disk."""
    for _ in range(PATIENCE_SECONDS * 20):
        if count_kept(home, "bootstrap") >= count or process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def tell(done):
    """Read a run's results, without what differs from run to run."""
    summary = json.loads(done.stdout)
    return {name: summary[name] for name in ("candidates", "performance", "gate", "verdict")}


def test_a_killed_run_resumes_to_the_same_numbers(fit, make_commands, tmp_path):
    broken, whole = (make_commands(tmp_path / name) for name in ("broken", "whole"))
    spread = ("training", *fit, "--jobs", "2")
    kill_once_kept(broken.start(*spread, warm=True), broken.home, 2)
    kept = {path: path.stat().st_mtime_ns for path in broken.home.rglob("bootstrap-*.npz")}
    assert len(kept) >= 2
    kill_once_kept(broken.start(*spread, warm=True), broken.home, len(kept) + 1)
    after = {path: path.stat().st_mtime_ns for path in broken.home.rglob("bootstrap-*.npz")}
    assert kept.items() <= after.items()
    assert tell(broken.call(*fit, "--jobs", "1")) == tell(whole.call(*fit, "--jobs", "1"))
    assert not count_kept(broken.home, "bootstrap")
