"""Eight shapes of raw export, as clinics have them, each with the mapping that reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from experiments.simulator.cohort import Simulation
from experiments.simulator.exports.clinic import Clinic, keep_records, make_truth
from experiments.simulator.exports.redcap import write_redcap, write_redcap_api
from experiments.simulator.exports.spreadsheets import write_german, write_sheet
from experiments.simulator.exports.statistics import write_spss
from experiments.simulator.exports.tables import write_long, write_tables
from experiments.simulator.exports.wide import write_wide
from features.base.errors import InputError, Problem
from features.base.files import write_bytes_atomic

_MAPPINGS = Path(__file__).parent / "mappings"


@dataclass(frozen=True)
class Shape:
    """One shape of an export."""

    label: str
    write: Callable[[Clinic, Path], list[Path]]
    items: bool = True  # Whether it has the items of forms, and not only their totals


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "redcap": Shape(
            "REDCap, longitudinal, with events and a repeating instrument", write_redcap
        ),
        "redcap-api": Shape("REDCap's API, without events, as JSON texts", write_redcap_api),
        "long": Shape("one long table: patient, course, visit, item, value", write_long),
        "tables": Shape("three tables: patients, doses, scores by date", write_tables, False),
        "xlsx": Shape("a workbook with a title and a merged header", write_sheet, False),
        "spss": Shape("SPSS, with value labels and codes for missing values", write_spss),
        "german-csv": Shape(
            "semicolons, decimal commas, DD/MM/YYYY, Windows-1252", write_german, False
        ),
        "wide": Shape("clinic software: a block of columns per assessment", write_wide),
    }
)


def write_export(
    name: str, simulation: Simulation, seed: int, folder: Path
) -> tuple[Any, list[Path]]:
    """Write a simulated cohort's export and the mapping that reads it.

    Parameters
    ----------
    seed
        Of what the cohort leaves open, such as the day of a visit.
    folder
        Made if it does not exist; its files of the same names are replaced.

    Returns
    -------
    pyarrow.Table
        The cohort that export and mapping become.
    list of Path
        What was written, the mapping last.

    Raises
    ------
    InputError
        If there is no such shape, or the folder is a file.
    """
    if name not in SHAPES:
        raise InputError([Problem("--shape", "unknown", f"must be one of: {', '.join(SHAPES)}")])
    if folder.exists() and not folder.is_dir():
        raise InputError([Problem("--out", "folder", "must be a folder, or not exist yet")])
    shape, clinic = SHAPES[name], keep_records(simulation, seed)
    folder.mkdir(parents=True, exist_ok=True)
    written = [*shape.write(clinic, folder), folder / "mapping.toml"]
    write_bytes_atomic(written[-1], (_MAPPINGS / f"{name}.toml").read_bytes())
    return make_truth(clinic, shape.items), written
