"""Scoring a cohort with every champion of the registry, in a notebook."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from features.base.errors import UnavailableError
from features.base.outputs import check_outputs
from features.model.estimate import MIN_SAMPLE_SIZE
from features.model.tracking import list_champions
from ketamine_response.cohorts import (
    Cohort,
    MappingLike,
    list_files,
    list_inputs,
    open_mapping,
    store_frames,
    to_path,
)
from ketamine_response.guest import visit
from serving.batch.score import REJECT_SCHEMA, SCORE_SCHEMA, score_cohort
from serving.estimates.predictor import Predictor
from serving.models.champion import Champion
from training.registry.registry import Registry


@dataclass(frozen=True)
class Scores:
    """A scored cohort: every row is in `estimates` or in `rejects`.

    Attributes
    ----------
    estimates
        A row per course and outcome, as the file that ``python -m serving score`` writes.
    rejects
        A row per problem of a rejected row: ``row``, ``field``, ``rule``, ``message``.
    """

    estimates: pd.DataFrame
    rejects: pd.DataFrame

    def __repr__(self) -> str:
        """Count rows."""
        rejected = self.rejects["row"].nunique()
        return f"Scores({len(self.estimates)} estimates, {rejected} rows rejected)"


def score(
    cohort: Any,
    mapping: MappingLike = None,
    *,
    out: str | Path | None = None,
    rejects: str | Path | None = None,
    home: str | Path | None = None,
    min_sample_size: float = MIN_SAMPLE_SIZE,
    progress: bool = False,
) -> Scores:
    """Score a cohort with the champions of the registry: ``python -m serving score``.

    The command scores with the champions in BentoML's model store, which are those of the registry
    once ``python -m serving pull`` has brought them there.

    Parameters
    ----------
    cohort, mapping
        As :func:`read_cohort` takes them, or a cohort that it read.
    out, rejects
        Files to write as well (.parquet or .csv).
    home
        Folder of data and runs; by default as the commands find it.
    min_sample_size
        Effective sample size below which no probability is given.
    progress
        Whether progress is shown on stderr.

    Raises
    ------
    InputError
        If the cohort cannot be read at all; rows that break a rule are in ``rejects``.
    UnavailableError
        If the registry has no champion.
    """
    outputs = [("out", to_path(out)), ("rejects", to_path(rejects))]
    check_outputs(outputs, list_inputs(cohort, mapping))
    if isinstance(cohort, Cohort):
        cohort, mapping = cohort.frame, None
    with visit(home, progress) as entered, tempfile.TemporaryDirectory() as scratch:
        predictor = Predictor(_load_champions(Registry(entered)), min_sample_size)
        mapper = open_mapping(mapping, predictor.dictionary)
        scored, rejected = [path or Path(scratch, f"{name}.parquet") for name, path in outputs]
        paths = list_files(cohort)
        if not paths:
            paths, mapper = store_frames(cohort, mapper, Path(scratch))
        score_cohort(predictor, paths, scored, rejected, mapper)
        return Scores(_read_frame(scored, SCORE_SCHEMA), _read_frame(rejected, REJECT_SCHEMA))


def _load_champions(registry: Registry) -> list[Champion]:
    champions = [registry.load_version(*named) for named in list_champions(registry.client)]
    if not champions:
        raise UnavailableError("the registry has no champion; `fit_study` registers one")
    return [Champion("", registered.version, registered.model) for registered in champions]


def _read_frame(path: Path, schema: Any) -> Any:
    if path.suffix == ".csv":
        options = csv.ConvertOptions(column_types=schema, strings_can_be_null=True)
        return csv.read_csv(path, convert_options=options).to_pandas()
    return parquet.read_table(path).to_pandas()
