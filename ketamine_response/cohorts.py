"""Cohorts in a notebook: read, validated and looked at."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as parquet

from experiments.simulator import simulate_world
from features.base.errors import CohortError, Problem
from features.base.foreign import translate_errors
from features.base.outputs import Named
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.intake.account import Account, count_file
from features.records.cohort import collect_cohort, digest_cohort, read_intake
from features.records.columns import Columns
from features.records.mapping import Mapper, make_mapper, read_mapping
from features.records.writing import check_ending, make_cohort_table, write_table_atomic
from features.sources.tables import wrap_table
from ketamine_response.frames import make_table
from ketamine_response.reports import Report
from training.findings.intake import IntakeFacts, describe_intake
from training.report.intake import render_intake
from training.study.design import is_simulated

_FRAME = "frame"
# A mapping file, or its content.
MappingLike = str | Path | Mapping[str, Any] | None


@dataclass(frozen=True)
class Cohort:
    """Treatment courses of which every row is valid, as :func:`read_cohort` gives them.

    Parameters
    ----------
    source
        Names of the files, or ``frame``.
    columns
        The values as the project computes with them; :attr:`frame` shows them.
    intake
        The account of what was read, as the project counts it; :attr:`account` shows it.
    """

    source: str
    columns: Columns
    intake: Account

    def __len__(self) -> int:
        """Return the number of courses."""
        return self.columns.size

    @property
    def frame(self) -> pd.DataFrame:
        """The fields that some course has, as a data frame in the project's words and units."""
        return make_cohort_table(self.columns).to_pandas()

    @property
    def account(self) -> dict[str, Any]:
        """What was read, used and left aside, by table, step and reason; the counts add up."""
        return self.intake.as_dict()

    @property
    def facts(self) -> IntakeFacts:
        """What was read, and of each field how often it is recorded; small counts are hidden."""
        return describe_intake(self.columns, self.account, (self.source,), None, "The cohort")

    @property
    def report(self) -> Report:
        """The report of ``python -m training intake``; a notebook displays it."""
        return Report(render_intake(self.facts))

    def save(self, path: str | Path) -> Path:
        """Write the cohort (.parquet or .csv), completely or not at all; returns its path."""
        target = Path(path)
        check_ending(target, "path")
        write_table_atomic(make_cohort_table(self.columns), target)
        return target

    @property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the order of rows or the format of the file."""
        return digest_cohort(self.columns)

    @property
    def simulated(self) -> bool:
        """Whether any course comes from a simulator."""
        return is_simulated(self.columns)

    def __repr__(self) -> str:
        """Describe it without a patient's value, so that a saved notebook holds none."""
        label = "SIMULATED, " if self.simulated else ""
        fields = len(self.columns.list_recorded())
        return f"Cohort({label}{self.source}: {len(self)} courses, {fields} fields recorded)"


def read_cohort(
    cohort: Any,
    mapping: MappingLike = None,
    dictionary: str | Path | None = None,
    incomplete: bool = False,
    ignore_unknown: bool = False,
) -> Cohort:
    """Read a cohort of which every row is valid.

    Parameters
    ----------
    cohort
        A file, a folder, a list of files, or a data frame of pandas, Polars or Arrow. For a mapping
        that joins tables, also a dictionary of data frames by table; these, and a frame that such
        a mapping reads, lie in a private temporary folder during the call.
    mapping
        How its own columns and tables become the project's: a mapping file (TOML), or its content
        as a dictionary.
    dictionary
        File (TOML) that adds instruments, fields, agents or conditions to the built-in ones.
    incomplete
        Whether courses without a baseline total are read, to be counted, instead of refused.
    ignore_unknown
        Whether columns that are not fields are left out, instead of refused.

    Returns
    -------
    Cohort

    Raises
    ------
    InputError
        If the cohort cannot be read or a row breaks a rule: its ``problems`` are all of them, each
        with field, rule and rows, and never a value.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"Pat_No": ["a1", "a2"], "condition": "depression", "phq9": [17, 21]}
    >>> cohort = read_cohort(pd.DataFrame(rows), {"rename": {"Pat_No": "patient_id"}})
    >>> cohort
    Cohort(frame: 2 courses, 3 fields recorded)
    >>> cohort.frame
      patient_id   condition  phq9
    0         a1  depression    17
    1         a2  depression    21
    """
    known = load_dictionary(to_path(dictionary))
    return read_any(cohort, open_mapping(mapping, known), known, incomplete, ignore_unknown)


def read_any(
    cohort: Any, mapper: Mapper, dictionary: Dictionary, incomplete: bool, ignore_unknown: bool
) -> Cohort:
    """Read files or data frames by a mapping that was read; a cohort that was read stays as it is.

    Raises
    ------
    InputError
        As :func:`read_cohort` does.
    """
    if isinstance(cohort, Cohort):
        return check_dictionary(cohort, dictionary)
    options = (ignore_unknown, dictionary, incomplete)
    with translate_errors():
        if paths := list_files(cohort):
            columns, account = read_intake(paths, mapper, *options)
            return Cohort(", ".join(path.name for path in paths), columns, account)
        if isinstance(cohort, Mapping) or not mapper.is_plain:
            with tempfile.TemporaryDirectory() as folder:
                paths, mapper = store_frames(cohort, mapper, Path(folder))
                columns, account = read_intake(paths, mapper, *options)
            return Cohort(_FRAME, columns, account)
        columns = collect_cohort(wrap_table(make_table(cohort), _FRAME), mapper, *options)
    patients = len({*columns.get_texts("patient_id")})
    return Cohort(_FRAME, columns, count_file(_FRAME, columns.size, patients))


def to_path(path: str | Path | None) -> Path | None:
    """Turn a path that may be a text, or be left out, into a path."""
    return None if path is None else Path(path)


def list_files(cohort: Any) -> list[Path]:
    """List the paths that a cohort is given by; none if it is not given by paths."""
    given = cohort if isinstance(cohort, Sequence) and not isinstance(cohort, str) else [cohort]
    are_paths = all(isinstance(path, str | Path) for path in given)
    return [Path(path) for path in given] if are_paths else []


def list_inputs(cohort: Any, mapping: MappingLike) -> list[Named]:
    """List the files that a call reads, which none of its outputs may replace."""
    inputs: list[Named] = [("the cohort", path) for path in list_files(cohort)]
    if isinstance(mapping, str | Path):
        inputs.append(("mapping", Path(mapping)))
    return inputs


def store_frames(cohort: Any, mapper: Mapper, folder: Path) -> tuple[list[Path], Mapper]:
    """Write data frames as the tables of a mapping, and make the mapping find them.

    Parameters
    ----------
    cohort
        A data frame, or several by the name of their table.
    """
    single = next(iter(mapper.tables), _FRAME) if len(mapper.tables) == 1 else _FRAME
    frames = cohort if isinstance(cohort, Mapping) else {single: cohort}
    paths = [folder / f"{name}.parquet" for name in frames]
    for path, frame in zip(paths, frames.values(), strict=True):
        parquet.write_table(make_table(frame), path)
    files = {
        name: table.model_copy(update={"file": f"{name}.parquet"})
        for name, table in mapper.tables.items()
    }
    return paths, mapper.model_copy(update={"tables": files})


def check_dictionary(cohort: Cohort, dictionary: Dictionary) -> Cohort:
    """Check that a cohort was read by the instruments that it is used with."""
    if cohort.columns.dictionary.added == dictionary.added:
        return cohort
    message = "was read with other instruments than the study or the model has: read it with theirs"
    raise CohortError([Problem("dictionary", "other", message)], source=cohort.source)


def open_mapping(mapping: MappingLike, dictionary: Dictionary) -> Mapper:
    """Read a mapping file, or make a mapping of its content."""
    if isinstance(mapping, Mapping):
        return make_mapper(mapping, dictionary)
    return read_mapping(to_path(mapping), dictionary)


def simulate(
    patients: int,
    seed: int,
    world: str = "default",
    *,
    new_sites: int = 0,
    intake: bool = False,
) -> pd.DataFrame:
    """Simulate a cohort, every row of it marked ``simulated``.

    Parameters
    ----------
    patients
        How many.
    seed
        Of the patients, and of new sites.
    world
        ``default``, ``weak``, ``strong``, ``stress``, ``null``, or ``world-`` and a number.
    new_sites
        How many new sites to treat at, instead of the world's own.
    intake
        Whether follow-up scores are left out.

    Raises
    ------
    InputError
        If there is no such world.

    Examples
    --------
    >>> cohort = simulate(50, seed=7)
    >>> len(cohort), bool(cohort["simulated"].all())
    (50, True)
    """
    return simulate_world(world, patients, seed, new_sites, intake).cohort.to_pandas()


def simulate_with_truth(
    patients: int,
    seed: int,
    world: str = "default",
    *,
    new_sites: int = 0,
    intake: bool = False,
    draws: int = 300,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate a cohort as :func:`simulate` does; returns it with each true probability.

    Parameters
    ----------
    draws
        Of the missing values, for the probability given the recorded fields (column
        ``probability_observed``); 0 leaves that out.

    Examples
    --------
    >>> cohort, truth = simulate_with_truth(20, seed=7, draws=0)
    >>> truth["probability"].between(0, 1).all()
    np.True_
    """
    simulation = simulate_world(world, patients, seed, new_sites, intake, draws)
    return simulation.cohort.to_pandas(), simulation.truth.to_pandas()
