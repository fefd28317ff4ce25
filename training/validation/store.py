"""The store of answers: one file a unit, whole or not there, until the run has ended."""

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

import features
import training
from features.base.files import digest_sources, list_sources, write_bytes_atomic
from features.records.cohort import digest_cohort
from training.study.design import Design
from training.study.study import Study
from training.validation.procedure import UnitResult

# Parts of a study on which no answer depends.
READERS: dict[str, Any] = {
    "validation": {"level", "resamples", "bootstraps"},
    "uncertainty": True,
    "gate": True,
}


@dataclass(frozen=True)
class Store:
    """What units said; several processes may add to it.

    Parameters
    ----------
    folder
        Need not exist yet. None to keep nothing.
    """

    folder: Path | None = None

    def read(self, key: str) -> UnitResult | None:
        """Read what a unit said; None where it has not, or its file is damaged."""
        if self.folder is None:
            return None
        try:
            content = io.BytesIO((self.folder / f"{key}.npz").read_bytes())
            with np.load(content, allow_pickle=False) as arrays:
                log_odds = zip(arrays["names"].tolist(), arrays["log_odds"], strict=True)
                return UnitResult(str(arrays["picked"]), dict(log_odds))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def add(self, key: str, answer: UnitResult) -> None:
        """Keep what a unit said; it is on disk on return."""
        if self.folder is None:
            return
        content = io.BytesIO()
        np.savez(
            content,
            allow_pickle=False,
            picked=np.array(answer.selected),
            names=np.array(list(answer.log_odds)),
            log_odds=np.stack(list(answer.log_odds.values())),
        )
        write_bytes_atomic(self.folder / f"{key}.npz", content.getvalue())

    def forget(self) -> None:
        """Remove it all."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def open_store(folder: Path, study: Study, design: Design) -> Store:
    """Open the store of a run, named by all that its answers depend on."""
    paths = [
        *list_sources(features, ["**/*.py", "**/*.toml"]),
        *list_sources(training, ["**/*.py"]),
    ]
    told = {
        "study": study.model_dump(mode="json", exclude=READERS),
        "courses": digest_cohort(design.columns),
        "instruments": [one.model_dump() for one in design.columns.dictionary.added],
        "weights": hashlib.sha256(design.weights.tobytes()).hexdigest(),
        "sources": digest_sources(paths, {"numpy": np.__version__, "xgboost": xgboost.__version__}),
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return Store(folder / digest[:16])
