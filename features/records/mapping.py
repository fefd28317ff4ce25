"""Mapping files: how a clinic's own columns become ours.

A mapping is one TOML file::

    delimiter = ";"                    # of a text file, if not that of its ending
    decimal = ","                      # 44,5 in a text file is 44.5
    missing = ["n/a", "-9"]            # more texts that mean a missing value
    ignore = ["visit_notes"]           # columns left out on purpose

    [rename]                           # theirs = ours
    hamd17_baseline = "hamd17"
    treatment = "agent"

    [values.agent]                     # ours: theirs = ours
    drug = "other"

    [units]                            # ours = unit of their numbers
    episode_months = "years"

    [constants]                        # ours = one value for every row
    condition = "depression"
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.types as types
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Setting

from features.base.errors import MappingError, Problem, list_problems
from features.base.files import read_toml
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import Field, Kind
from features.records.tables import MISSING_TOKENS

# Factor from each of their units to ours. A month is a twelfth of 365.25 days.
DAYS_PER_MONTH = 365.25 / 12
UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "months": {"days": 1 / DAYS_PER_MONTH, "weeks": 7 / DAYS_PER_MONTH, "years": 12.0},
        "years": {"days": 1 / 365.25, "months": 1 / 12},
        "weeks": {"days": 1 / 7, "months": DAYS_PER_MONTH / 7},
        "mg": {"µg": 1e-3, "ug": 1e-3, "g": 1e3},
        "mg a day": {"µg a day": 1e-3, "ug a day": 1e-3, "g a day": 1e3},
        "mg/kg": {"µg/kg": 1e-3, "ug/kg": 1e-3, "mg/lb": 1 / 0.45359237},
        "mmHg": {"kPa": 7.50061683, "cmHg": 10.0},
        "kg/m²": {"lb/in²": 0.45359237 / 0.0254**2},
        "of 10": {"of 100": 0.1, "of 1": 10.0},
    }
)

DECIMAL_COMMA = r"^\s*[+-]?[0-9]*,[0-9]+\s*$"

Words = Mapping[str, str]


class Mapper(BaseModel):
    """A mapping, read and checked; see the module for the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rename: Words = Setting(default_factory=dict)
    values: Mapping[str, Words] = Setting(default_factory=dict)
    units: Words = Setting(default_factory=dict)
    constants: Mapping[str, str | bool | float] = Setting(default_factory=dict)
    missing: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    decimal: Literal[".", ","] = "."

    @property
    def missing_tokens(self) -> tuple[str, ...]:
        """Texts that stand for a missing value."""
        return (*MISSING_TOKENS, *self.missing)

    def get_factor(self, field: Field) -> float:
        """Return what a field's numbers are multiplied by."""
        return UNITS[field.unit][self.units[field.name]] if field.name in self.units else 1.0

    def map_values(self, name: str, array: Any) -> Any:
        """Replace their values by ours; a value that the mapping does not name stays as it is."""
        words = self.values.get(name)
        if not words:
            return array
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if types.is_floating(array.type):
            array = array.cast(pa.int64(), safe=False)  # codes such as 1.0 stand for 1
        texts = array.cast(pa.string()).dictionary_encode()
        distinct = [words.get(text, text) for text in texts.dictionary.to_pylist()]
        return pa.array(distinct, pa.string()).take(texts.indices)

    def point_decimals(self, field: Field, array: Any) -> Any:
        """Write the texts of a number field with decimal points, if the mapping has commas."""
        if self.decimal == "." or not field.numeric or not types.is_string(array.type):
            return array
        # Exchanged, so that 1.234 (a thousand and more) becomes 1,234 and is refused.
        for theirs, ours in ((".", "\0"), (",", "."), ("\0", ",")):
            array = compute.replace_substring(array, theirs, ours)
        return array

    def has_decimal_commas(self, array: Any) -> bool:
        """Return whether texts are numbers with decimal commas, which the mapping does not name."""
        if self.decimal == "," or not types.is_string(array.type):
            return False
        return compute.any(compute.match_substring_regex(array, DECIMAL_COMMA)).as_py() is True

    def list_constants(self, size: int) -> dict[str, Any]:
        """Build the constant columns."""
        return {name: pa.array([value] * size) for name, value in self.constants.items()}


def read_mapping(path: Path | None, dictionary: Dictionary | None = None) -> Mapper:
    """Read a mapping file; without one, columns keep their names and values.

    Raises
    ------
    MappingError
        If the file is not TOML of that form, or names fields, categories or units that do not
        exist; lists every problem.
    """
    if path is None:
        return Mapper()
    table = read_toml(path, "a mapping file", MappingError)
    try:
        mapper = Mapper.model_validate(table)
    except ValidationError as error:
        raise MappingError(list_problems(error), source=path.name) from None
    if problems := list(_check_mapping(mapper, (dictionary or load_dictionary()).cohort_fields)):
        raise MappingError(problems, source=path.name)
    return mapper


def _check_mapping(mapper: Mapper, fields: Mapping[str, Field]) -> Iterator[Problem]:
    named = {
        "rename": list(mapper.rename.values()),
        "values": list(mapper.values),
        "units": list(mapper.units),
        "constants": list(mapper.constants),
    }
    for part, names in named.items():
        for name in names:
            if name not in fields:
                yield Problem(f"{part}: {name}", "unknown", "not a known field")
    targets = Counter([*mapper.rename.values(), *mapper.constants])
    for name in sorted(name for name, count in targets.items() if count > 1):
        yield Problem(name, "duplicate", "only one column or constant can become this field")
    yield from _check_words(mapper, fields)
    yield from _check_units(mapper, fields)


def _check_words(mapper: Mapper, fields: Mapping[str, Field]) -> Iterator[Problem]:
    for name, words in mapper.values.items():
        field = fields.get(name)
        if field is not None and field.kind is Kind.CATEGORY:
            for theirs, ours in words.items():
                if ours not in field.categories:
                    yield Problem(f"values.{name}.{theirs}", "category", f"must be {field.allowed}")


def _check_units(mapper: Mapper, fields: Mapping[str, Field]) -> Iterator[Problem]:
    for name, unit in mapper.units.items():
        field = fields.get(name)
        if field is not None and unit not in UNITS.get(field.unit, {}):
            known = ", ".join(UNITS.get(field.unit, {})) or "nothing"
            message = f"{field.unit or 'this field'} can be made from: {known}"
            yield Problem(f"units.{name}", "unit", message)
