"""Runs of units: spread over processes, and each result kept until the study's run has ended."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from joblib import delayed

from features.base.arrays import Indices
from features.base.commands import track
from features.base.files import write_bytes_atomic
from features.records.cohort import digest_cohort
from training.candidates.base import Candidate
from training.candidates.registry import list_candidates
from training.candidates.tuning import digest_code, list_own_sources
from training.measures.predictions import Predictions
from training.study.design import Design
from training.validation.procedure import Contest, Procedure, UnitResult
from training.validation.redrawing import Redrawing
from training.validation.resample import spread
from training.validation.units import Unit, list_folds

# Settings of a study on which no result depends: they may change between a kill and the next run.
_IRRELEVANT: dict[str, Any] = {
    "validation": {"resamples", "bootstraps"},
    "uncertainty": True,
    "gate": True,
}


@dataclass(frozen=True)
class Store:
    """Results of units, a file each; several processes may add to it.

    Parameters
    ----------
    folder
        Need not exist yet. None if nothing is kept.
    """

    folder: Path | None = None

    def read(self, key: str) -> UnitResult | None:
        """Read a unit's result; None if it is missing or its file is damaged."""
        if self.folder is None:
            return None
        try:
            content = io.BytesIO((self.folder / f"{key}.npz").read_bytes())
            with np.load(content, allow_pickle=False) as arrays:
                log_odds = zip(arrays["names"].tolist(), arrays["log_odds"], strict=True)
                return UnitResult(str(arrays["picked"]), dict(log_odds))
        # Whatever cannot be read is computed again: a result costs time, not information.
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def add(self, key: str, result: UnitResult) -> None:
        """Keep a unit's result; it is on disk on return."""
        if self.folder is None:
            return
        content = io.BytesIO()
        np.savez(
            content,
            allow_pickle=False,
            picked=np.array(result.selected),
            names=np.array(list(result.log_odds)),
            log_odds=np.stack(list(result.log_odds.values())),
        )
        write_bytes_atomic(self.folder / f"{key}.npz", content.getvalue())

    def forget(self) -> None:
        """Remove all results."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


KEEP_NOTHING = Store()


def open_result_store(folder: Path, design: Design) -> Store:
    """Open the store of a study's run, named by everything that its results depend on."""
    inputs = {
        "study": design.study.model_dump(mode="json", exclude=_IRRELEVANT),
        "courses": digest_cohort(design.columns),
        "additions": design.columns.dictionary.added.model_dump(mode="json"),
        "weights": hashlib.sha256(design.weights.tobytes()).hexdigest(),
        # Code and numerical libraries, too: another version may give other numbers.
        "sources": digest_code(
            numpy=np.__version__,
            xgboost=xgboost.__version__,
            **list_own_sources(list_candidates().values()),
        ),
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    # 64 bits are enough to keep the runs of one study apart.
    return Store(folder / digest[:16])


def run_units(
    procedure: Procedure,
    design: Design,
    units: Sequence[Unit],
    store: Store,
    jobs: int,
    label: str,
    redrawing: Redrawing | None = None,
) -> Iterator[tuple[Unit, UnitResult]]:
    """Run the units that the store lacks; yields all results in the units' order.

    Parameters
    ----------
    redrawing
        Of the outcomes in training courses; None if they are those recorded.
    """
    results = {unit.key: store.read(unit.key) for unit in units}
    lacking = [unit for unit in units if results[unit.key] is None]
    tasks = (delayed(run_unit)(procedure, design, unit, store, redrawing) for unit in lacking)
    # Results arrive as they complete; the order of units is restored below.
    results |= dict(track(spread(jobs, tasks), len(lacking), label))
    for unit in units:
        result = results[unit.key]
        if result is not None:
            yield unit, result


def run_unit(
    procedure: Procedure,
    design: Design,
    unit: Unit,
    store: Store = KEEP_NOTHING,
    redrawing: Redrawing | None = None,
) -> tuple[str, UnitResult]:
    """Run one unit and keep its result; returns it with the unit's key."""
    train = design.select(unit.train)
    if redrawing is not None:
        train = redrawing.redraw(design, unit.train, unit.seed)
    result = procedure.run(train, design.select(unit.test), unit.seed)
    store.add(unit.key, result)
    return unit.key, result


@dataclass(frozen=True)
class CrossValidation:
    """Held-out predictions of every course, by repeats of a cross-validation.

    Parameters
    ----------
    held_out
        By each candidate.
    nested
        By the whole procedure: in each fold by the candidate that the other folds selected.
    """

    held_out: Mapping[str, Predictions]
    nested: Predictions


def cross_validate(
    design: Design,
    candidates: Mapping[str, Candidate],
    jobs: int,
    store: Store = KEEP_NOTHING,
) -> CrossValidation:
    """Test every candidate of a study on held-out courses, and the selection among them.

    All that a candidate fits or chooses, it does within the other folds. Candidates that the study
    does not compare are ignored.
    """
    repeats, names = list_folds(design), design.study.candidates
    contest = Contest({name: candidates[name] for name in names})
    units = [unit for folds in repeats for unit in folds]
    results = {
        unit.key: result
        for unit, result in run_units(contest, design, units, store, jobs, "cross-validation")
    }
    return CrossValidation(
        {name: _collect_held_out(design, repeats, results, name) for name in names},
        _collect_held_out(design, repeats, results),
    )


def _collect_held_out(
    design: Design,
    repeats: Sequence[Sequence[Unit]],
    results: Mapping[str, UnitResult],
    name: str | None = None,
) -> Predictions:
    # By one candidate, or by the one that each fold selected.
    log_odds = np.full((len(repeats), design.size), np.nan)
    numbers: Indices = np.zeros((len(repeats), design.size), dtype=np.int64)
    for repeat, folds in enumerate(repeats):
        for number, unit in enumerate(folds):
            result = results[unit.key]
            log_odds[repeat, unit.test] = result.log_odds[name or result.selected]
            numbers[repeat, unit.test] = number
    return Predictions.from_repeats(
        log_odds, numbers, design.outcome, design.patients, design.given_weights
    )
