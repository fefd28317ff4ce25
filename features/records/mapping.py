"""Mapping files: how a clinic's own columns become ours.

A mapping is one TOML file::

    delimiter = ";"                    # of a text file, if not that of its ending
    decimal = ","                      # the text 44,5 is 44.5
    dates = "DD/MM/YYYY"               # of dates in texts, in addition to 2026-02-28
    missing = ["refused", "-9"]        # more codes that mean a missing value
    ignore = ["visit_notes"]           # columns left out on purpose

    [rename]                           # theirs = ours
    hamd17_baseline = "hamd17"
    treatment = "agent"

    [values.agent]                     # ours: theirs = ours
    drug = "other"

    [units]                            # ours = unit of their numbers
    episode_months = "years"

    [values.phq9_items]                # of all items of an instrument, at every visit
    "Not at all" = "0"

    [constants]                        # ours = one value for every row
    condition = "depression"

Several tables, visits in rows and derived fields: see :mod:`features.intake.plan`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types
from pydantic import Field as Setting
from pydantic import ValidationError

from features.base.arrays import Numbers
from features.base.errors import MappingError, Problem, list_problems
from features.base.files import read_toml
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import Field, Group, Kind
from features.dictionary.horizon import DAYS_PER_MONTH, DAYS_PER_YEAR
from features.intake.bodies import KILOGRAMS_PER_POUND, METRES_PER_INCH
from features.intake.codes import Codes, Key, make_codes, make_key
from features.intake.followups import list_followup_items
from features.intake.plan import Plan, check_plan
from features.records.arrow import parse_arrow
from features.records.parsing import Conversion
from features.sources.dates import have_other_dates
from features.sources.texts import DECIMAL_COMMA, MISSING_TOKENS

# A converted number this close to a whole one becomes that: 1 / 12 of 216 months need not be
# exactly 18 years, at which rules change.
ROUNDING_ERROR = 1e-9
# Between two birthdays lie up to a day more or less than 365.25 per year: an age within a day of a
# whole number of years is that number. An 18th birthday is 6,574 or 6,575 days after birth.
BIRTHDAY_ERROR = 1 / DAYS_PER_YEAR
# Factors from their units to ours, by our unit.
UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "months": {"days": 1 / DAYS_PER_MONTH, "weeks": 7 / DAYS_PER_MONTH, "years": 12.0},
        "years": {"days": 1 / DAYS_PER_YEAR, "months": 1 / 12},
        "weeks": {"days": 1 / 7, "months": DAYS_PER_MONTH / 7},
        "mg": {"µg": 1e-3, "ug": 1e-3, "g": 1e3},
        "mg a day": {"µg a day": 1e-3, "ug a day": 1e-3, "g a day": 1e3},
        "mg/kg": {"µg/kg": 1e-3, "ug/kg": 1e-3, "mg/lb": 1 / KILOGRAMS_PER_POUND},
        "mmHg": {"kPa": 7.50061683, "cmHg": 10.0},
        "kg/m²": {"lb/in²": KILOGRAMS_PER_POUND / METRES_PER_INCH**2},
        "of 10": {"of 100": 0.1, "of 1": 10.0},
    }
)

Words = Mapping[str, str]
# The key that marks a draft.
DRAFT = "draft"
_DRAFT_REMEDY = (
    "this mapping is a draft: answer its questions, correct its lines, then remove this one "
    "(`python -m training mapping check` shows what would be read)"
)


def convert_unit(ours: str, theirs: str, values: Numbers) -> Numbers:
    """Convert numbers; those that are whole but for rounding, or for leap days, become whole.

    Examples
    --------
    >>> convert_unit("years", "days", np.array([6573.0, 6574, 6575, 6600]))
    array([17.99589322, 18.        , 18.        , 18.0698152 ])
    """
    converted = values * UNITS[ours][theirs]
    whole = np.round(converted)
    error = ROUNDING_ERROR * np.maximum(1.0, np.abs(whole))
    if (ours, theirs) == ("years", "days"):
        # Four years have exactly one leap day: a day before the birthday is not within a day of it.
        error = BIRTHDAY_ERROR - error
    nearest: Numbers = np.where(np.abs(converted - whole) < error, whole, converted)
    return nearest


# Names of shared tables of words: the ending of an instrument's items, and all flags.
_ITEMS = "_items"
FLAGS = "flags"


class Mapper(Plan):
    """A mapping, read and checked; see the module for the file."""

    values: Mapping[str, Words] = Setting(default_factory=dict)
    units: Words = Setting(default_factory=dict)
    constants: Mapping[str, str | bool | int | float] = Setting(default_factory=dict)

    def get_conversion(self, field: Field) -> Conversion | None:
        """Return what turns a field's numbers into our unit; None if they are in it."""
        unit = self.units.get(field.name)
        # A unit that does not exist is a problem of its own.
        if unit is None or unit not in UNITS.get(field.unit, {}):
            return None
        return partial(convert_unit, field.unit, unit)

    def get_codes(self, field: Field) -> Codes:
        """Return a field's codes: for missing values, and for words of ours."""
        shared = self.values.get(name_shared(field) or "", {})
        words = {**shared, **self.values.get(field.name, {})}
        return make_codes(field, self.missing, words, self)

    def skip_intake(self) -> "Mapper":
        """Return what is left to do once the tables are joined and the fields derived."""
        units = {name: unit for name, unit in self.units.items() if name not in self.derive}
        done = {"rename": {}, "ignore": (), "tables": {}, "derive": {}, "units": units}
        return self.model_copy(update=done)

    def suggest_keys(self, array: Any) -> str:
        """Suggest keys by which a column's texts could be read; empty if there are none."""
        if not types.is_string(array.type):
            return ""
        texts = array.unique().to_pylist()
        if self.decimal == "." and any(text and DECIMAL_COMMA.fullmatch(text) for text in texts):
            return '; decimal commas: a mapping can say so (`decimal = ","`)'
        if self.dates is None and have_other_dates(texts):
            return '; other dates: a mapping can say how they are written (`dates = "DD/MM/YYYY"`)'
        return ""

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
    return make_mapper(table, dictionary, path.name, path.parent)


def make_mapper(
    table: Mapping[str, Any],
    dictionary: Dictionary | None = None,
    source: str = "mapping",
    folder: Path | None = None,
) -> Mapper:
    """Make a mapping of the table that a file in a folder holds; raises as :func:`read_mapping`."""
    table = {**table}
    # A draft is made of guesses: it must not be used before someone has read it.
    if table.pop(DRAFT, False) is not False:
        raise MappingError([Problem(DRAFT, "draft", _DRAFT_REMEDY)], source=source)
    try:
        mapper = Mapper.model_validate(table, context={"folder": folder})
    except ValidationError as error:
        raise MappingError(list_problems(error), source=source) from None
    known = dictionary or load_dictionary()
    problems = [*_check_mapping(mapper, known), *check_plan(mapper, known)]
    if problems:
        raise MappingError(problems, source=source)
    return mapper


def name_shared(field: Field) -> str | None:
    """Name the table of words that a field shares: with all items of a scale, or all flags."""
    if field.group is Group.ITEM:
        # A form's items have its stem, also where its subscales own them.
        return f"{field.name.rpartition('_')[0]}{_ITEMS}"
    return FLAGS if field.kind is Kind.FLAG else None


def _check_mapping(mapper: Mapper, dictionary: Dictionary) -> Iterator[Problem]:
    fields = dictionary.cohort_fields
    shared = {FLAGS, *_group_items(dictionary)}
    # Columns that tables and derived fields read may have any name.
    free = {name for rule in mapper.derive.values() for name in rule.patterns}
    free |= {*list_followup_items(dictionary)}
    named = {
        "rename": [name for name in mapper.rename.values() if name not in free and "*" not in name],
        "values": [name for name in mapper.values if name not in shared],
        "units": list(mapper.units),
        "constants": list(mapper.constants),
    }
    for part, names in named.items():
        for name in names:
            if name not in fields:
                yield Problem(f"{part}: {name}", "unknown", "not a known field")
    targets = Counter([*mapper.rename.values(), *mapper.constants])
    # Several tables may each have a column that becomes, say, the patient's code.
    for name in sorted(name for name, count in targets.items() if count > 1 and not mapper.tables):
        yield Problem(name, "duplicate", "only one column or constant can become this field")
    for name in sorted(set(mapper.rename) & set(mapper.ignore)):
        yield Problem(name, "duplicate", "a column is either renamed or ignored")
    yield from _check_words(mapper, dictionary)
    yield from _check_constants(mapper, fields)
    yield from _check_units(mapper, fields)


def _check_words(mapper: Mapper, dictionary: Dictionary) -> Iterator[Problem]:
    fields, shared = dictionary.cohort_fields, _group_items(dictionary)
    for name, words in mapper.values.items():
        if name in fields:
            yield from _check_field_words(mapper, name, fields[name], words)
        elif name == FLAGS:
            flag = next(field for field in fields.values() if field.kind is Kind.FLAG)
            yield from _check_field_words(mapper, name, flag, words)
        elif name in shared:
            # The item that reaches highest: what none of them may be is refused here.
            yield from _check_field_words(mapper, name, max(shared[name], key=_get_high), words)


def _group_items(dictionary: Dictionary) -> dict[str, list[Field]]:
    groups: dict[str, list[Field]] = {}
    for item in map(dictionary.fields.get, dictionary.item_owners):
        if item is not None and (name := name_shared(item)) is not None:
            groups.setdefault(name, []).append(item)
    return groups


def _get_high(field: Field) -> float:
    return field.high


def _check_field_words(mapper: Mapper, name: str, field: Field, words: Words) -> Iterator[Problem]:
    missing = {make_key(field, text) for text in (*MISSING_TOKENS, *mapper.missing)}
    known: dict[Key, str] = {}
    for theirs, ours in words.items():
        label, key = f"values.{name}.{theirs}", make_key(field, theirs)
        if key in missing:
            yield Problem(label, "missing", "can never match: this code is a missing value")
        elif known.setdefault(key, ours) != ours:
            yield Problem(label, "duplicate", "can never match: an earlier line has the same code")
        elif rule := _find_broken_rule(mapper, field, ours):
            yield Problem(label, rule, f"must be {field.allowed}")


def _check_constants(mapper: Mapper, fields: Mapping[str, Field]) -> Iterator[Problem]:
    for name, value in mapper.constants.items():
        field = fields.get(name)
        if field is not None and (rule := _find_broken_rule(mapper, field, value)):
            yield Problem(f"constants.{name}", rule, f"must be {field.allowed}")


def _find_broken_rule(mapper: Mapper, field: Field, value: str | bool | float) -> str | None:
    convert = mapper.get_conversion(field)
    return next(iter(parse_arrow(field, pa.array([value]), convert).broken), None)


def _check_units(mapper: Mapper, fields: Mapping[str, Field]) -> Iterator[Problem]:
    for name, unit in mapper.units.items():
        field = fields.get(name)
        if field is not None and unit not in UNITS.get(field.unit, {}):
            known = ", ".join(UNITS.get(field.unit, {})) or "nothing"
            message = f"{field.unit or 'this field'} can be made from: {known}"
            yield Problem(f"units.{name}", "unit", message)
