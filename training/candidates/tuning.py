"""Tuning: settings tried on inner folds; the only file of training that names Optuna.

Each trial draws from a seed of its own and from the trials before it, so that a killed search
resumes as if it had never stopped.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import features
import training
from features.base.files import Journal, digest_sources, list_sources, remove_digest_files
from features.records.cohort import digest_cohort
from training.study.design import Design
from training.study.seeds import derive_seed

# Random trials before Optuna models the earlier ones, and trials before any may be pruned.
_RANDOM_TRIALS, UNPRUNED_TRIALS = 10, 5
# No trial is pruned before this many folds: a single fold is too noisy.
UNPRUNED_FOLDS = 2

# Yields the log loss over the inner folds so far, after each of them.
Judge = Callable[[Mapping[str, float]], Iterator[float]]


@dataclass(frozen=True)
class Tuning:
    """How many settings each fit tries, the fixed ones at least, and where trials are kept."""

    trials: int = 0
    journals: Path | None = None

    def open_journal(
        self, candidate: str, design: Design, seed: int, versions: Mapping[str, str]
    ) -> Journal | None:
        """Open the journal of one fit, named by all that its trials depend on but their number."""
        if self.journals is None or not self.trials:
            return None
        name = digest_fit(candidate, design, seed, versions)
        return Journal(self.journals / f"{name}.jsonl")

    def forget(self) -> None:
        """Remove the journals: what they were for has been logged."""
        if self.journals is not None:
            remove_digest_files(self.journals, ".jsonl")


UNTUNED = Tuning()


@dataclass(frozen=True)
class Range:
    """Where a setting may lie; both ends are included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Space:
    """What is tried: fixed settings first, which are never given up, then draws from the ranges."""

    fixed: tuple[Mapping[str, float], ...]
    ranges: Mapping[str, Range]


@dataclass(frozen=True)
class TuningTrial:
    """Settings that were tried.

    Parameters
    ----------
    losses
        Log loss on the inner folds so far, after each of them.
    pruned
        Whether it was given up before the last fold.
    """

    settings: Mapping[str, float]
    losses: tuple[float, ...]
    pruned: bool = False

    @property
    def loss(self) -> float:
        """Log loss on all inner folds that were seen."""
        return self.losses[-1]


@dataclass(frozen=True)
class Search:
    """What one fit searches; `judge` gives a loss after each of the folds."""

    space: Space
    judge: Judge
    folds: int
    seed: int
    journal: Journal | None


def try_settings(search: Search, trials: int) -> tuple[TuningTrial, ...]:
    """Try settings: the fixed ones, then those that Optuna suggests."""
    fixed = search.space.fixed
    if trials <= len(fixed):
        return tuple(TuningTrial(settings, tuple(search.judge(settings))) for settings in fixed)
    tried = _read_trials(search.journal)[:trials]
    memory = _make_memory(search.space, tried)
    for number in range(len(tried), trials):
        tried.append(_run_trial(search, memory, tried))
        if search.journal is not None:
            search.journal.add({"number": number, **asdict(tried[-1])})
    return tuple(tried)


def choose_trial(tried: Iterable[TuningTrial]) -> TuningTrial:
    """Choose the lowest log loss; the first of equals."""
    return min((trial for trial in tried if not trial.pruned), key=lambda trial: trial.loss)


def _read_trials(journal: Journal | None) -> list[TuningTrial]:
    entries = {} if journal is None else {entry["number"]: entry for entry in journal.read()}
    tried: list[TuningTrial] = []
    while (entry := entries.get(len(tried))) is not None:
        tried.append(TuningTrial(entry["settings"], tuple(entry["losses"]), entry["pruned"]))
    return tried


def _make_memory(space: Space, tried: Iterable[TuningTrial]) -> Any:
    # Optuna's own journal is not used: a line cut off by a kill makes it unreadable, a lock left by
    # one stalls the next process, and trials that were running stay so.
    import optuna  # takes long, and most fits search nothing

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    memory, states = optuna.create_study(), optuna.trial.TrialState
    for trial in tried:
        known = optuna.trial.create_trial(
            state=states.PRUNED if trial.pruned else states.COMPLETE,
            params=dict(trial.settings),
            distributions=_make_distributions(space),
            value=trial.loss,
            intermediate_values=dict(enumerate(trial.losses)),
        )
        memory.add_trial(known)
    return memory


def _run_trial(search: Search, memory: Any, tried: Sequence[TuningTrial]) -> TuningTrial:
    import optuna

    number, fixed = len(tried), search.space.fixed
    # One sampler for all trials would carry a state that is lost when a process is killed.
    memory.sampler = optuna.samplers.TPESampler(
        seed=derive_seed(search.seed, number), n_startup_trials=_RANDOM_TRIALS
    )
    if number < len(fixed):
        memory.enqueue_trial(dict(fixed[number]))
    trial = memory.ask(_make_distributions(search.space))
    losses: list[float] = []
    for loss in search.judge(trial.params):
        trial.report(loss, len(losses))
        losses.append(loss)
        if len(losses) < search.folds and _is_behind(losses, tried):
            memory.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return TuningTrial(trial.params, tuple(losses), pruned=True)
    memory.tell(trial, losses[-1])
    return TuningTrial(trial.params, tuple(losses))


def _is_behind(losses: Sequence[float], tried: Sequence[TuningTrial]) -> bool:
    # Optuna's own median rule takes a trial's lowest loss so far, which is that of an easy fold.
    done = len(losses) - 1
    others = [trial.losses[done] for trial in tried if not trial.pruned]
    early = len(tried) < UNPRUNED_TRIALS or len(losses) < UNPRUNED_FOLDS
    return not early and losses[-1] > median(others)


def _make_distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(int(limits.low), int(limits.high))
        if limits.whole
        else FloatDistribution(limits.low, limits.high, log=limits.log)
        for name, limits in space.ranges.items()
    }


def digest_fit(candidate: str, design: Design, seed: int, versions: Mapping[str, str]) -> str:
    """Digest everything that a fit's trials depend on, except their number."""
    # Whatever may change a loss: a journal of other data or code must not be continued.
    facts = {
        "candidate": candidate,
        "seed": seed,
        "target": design.target.id,
        "features": [repr(feature) for feature in design.features],
        "additions": design.columns.dictionary.added.model_dump(mode="json"),
        "sites": design.site_names,
        "inner_folds": design.inner_folds,
        "courses": digest_cohort(design.columns),
        "sources": digest_code(optuna=version("optuna"), **versions),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in (design.matrix, design.outcome, design.patients, design.sites, design.weights):
        digest.update(array.tobytes())
    return digest.hexdigest()


def list_own_sources(candidates: Iterable[type]) -> dict[str, str]:
    """List what candidates of a user's own depend on beyond this project, for `digest_code`.

    The file that defines each, and scikit-learn, in versions that `digest_code` takes.
    """
    own = [kind for kind in candidates if not kind.__module__.startswith("training.")]
    files = sorted({Path(inspect.getfile(kind)) for kind in own})
    return {"scikit-learn": version("scikit-learn"), "own": digest_sources(files, {})}


@cache
def digest_code(**versions: str) -> str:
    """Digest the code that computes results, and the versions of libraries that it uses."""
    patterns = ("**/*.py", "**/*.toml")
    paths = [*list_sources(training, patterns), *list_sources(features, patterns)]
    return digest_sources(paths, versions)
