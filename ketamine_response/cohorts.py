"""Cohorts in a notebook: read, validated and looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import simulator
from experiments.simulator import Simulation, draw_new_sites, find_world
from features.base.errors import CohortError, Problem
from features.base.foreign import translate_errors
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.records.cohort import collect_cohort, digest_cohort
from features.records.cohort import read_cohort as read_file
from features.records.columns import Columns
from features.records.mapping import Mapper, make_mapper, read_mapping
from features.sources.tables import wrap_table
from ketamine_response.frames import make_frame, make_table, name_source

# A mapping file, or its content.
MappingLike = str | Path | Mapping[str, Any] | None


@dataclass(frozen=True)
class Cohort:
    """Treatment courses of which every row is valid, as :func:`read_cohort` gives them.

    Parameters
    ----------
    source
        Name of the file, or ``frame``.
    columns
        The values as the project computes with them; :attr:`frame` shows them.
    """

    source: str
    columns: Columns

    def __len__(self) -> int:
        """Return the number of courses."""
        return self.columns.size

    @property
    def frame(self) -> pd.DataFrame:
        """The fields that some course has, as a data frame in the project's words and units."""
        return make_frame(self.columns)

    @property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the order of rows or the format of the file."""
        return digest_cohort(self.columns)

    @property
    def simulated(self) -> bool:
        """Whether any course comes from a simulator."""
        return bool((self.columns.get_numbers("simulated") == 1).any())

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
        A file, a folder of Parquet files, or a data frame of pandas, Polars or Arrow.
    mapping
        How its own columns become the project's: a mapping file (TOML), or its content as a
        dictionary.
    dictionary
        File (TOML) that adds instruments to the built-in ones.
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
    0         a1  depression  17.0
    1         a2  depression  21.0
    """
    known = load_dictionary(None if dictionary is None else Path(dictionary))
    return read_any(cohort, open_mapping(mapping, known), known, incomplete, ignore_unknown)


def read_any(
    cohort: Any, mapper: Mapper, dictionary: Dictionary, incomplete: bool, ignore_unknown: bool
) -> Cohort:
    """Read a file or a data frame by a mapping that was read; one that was read stays as it is."""
    if isinstance(cohort, Cohort):
        return check_dictionary(cohort, dictionary)
    source = name_source(cohort)
    with translate_errors():
        if isinstance(cohort, str | Path):
            columns = read_file(Path(cohort), mapper, ignore_unknown, dictionary, incomplete)
        else:
            table = wrap_table(make_table(cohort, source), source)
            columns = collect_cohort(table, mapper, ignore_unknown, dictionary, incomplete)
    return Cohort(source, columns)


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
    return read_mapping(None if mapping is None else Path(mapping), dictionary)


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
    return _simulate(patients, seed, world, new_sites, intake, draws=0).cohort.to_pandas()


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
    simulation = _simulate(patients, seed, world, new_sites, intake, draws)
    return simulation.cohort.to_pandas(), simulation.truth.to_pandas()


def _simulate(
    patients: int, seed: int, world: str, new_sites: int, intake: bool, draws: int
) -> Simulation:
    chosen = find_world(world)
    sites = draw_new_sites(chosen, new_sites, seed) if new_sites else None
    return simulator.simulate(chosen, patients, seed, intake, sites, draws)
