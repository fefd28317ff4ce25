"""The field registry: every field of an assessment, declared once.

The pydantic model, cohort validation, the web form, the OpenAPI schema, the data dictionary and the
ranges on model cards all come from these entries: ``fields.toml`` and the instruments.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from itertools import product
from types import MappingProxyType
from typing import Any

from features.dictionary.field import Field, Group, Kind
from features.dictionary.instruments import INSTRUMENTS, Instrument
from features.dictionary.outcome import (
    CHECKPOINTS,
    HORIZONS,
    Horizon,
    can_read,
    explain_recall,
    name_followup,
)


def read_declared_fields() -> dict[Group, list[Field]]:
    """Read ``fields.toml``."""
    table = tomllib.loads(files("features.dictionary").joinpath("fields.toml").read_text("utf-8"))
    return {
        Group(group): [make_declared_field(Group(group), name, **f) for name, f in fields.items()]
        for group, fields in table.items()
    }


def make_declared_field(group: Group, name: str, kind: str, **facts: Any) -> Field:
    """Build a field from its entry in the table."""
    low, high = facts.pop("range", (0, 0))
    categories = tuple(facts.pop("categories", ()))
    return Field(
        name=name, kind=Kind(kind), group=group, low=low, high=high, categories=categories, **facts
    )


def make_score_field(instrument: Instrument) -> Field:
    """Build the field of an instrument's baseline total."""
    rater = "Clinician-rated" if instrument.clinician_rated else "Self-rated"
    return Field(
        name=instrument.key,
        kind=Kind.INTEGER,
        group=Group.SCORE,
        label=f"{instrument.name} total",
        high=instrument.high,
        unit="points",
        step=5,
        help=f"{rater} {instrument.measures}, last {instrument.recall_days} days",
        loinc=instrument.loinc_total,
        source=instrument.source,
    )


def make_item_fields(instrument: Instrument) -> Iterator[Field]:
    """Build one field an item."""
    codes = instrument.loinc_items or (None,) * len(instrument.item_highs)
    items = zip(instrument.item_fields, instrument.item_highs, codes, strict=True)
    for number, (name, high, code) in enumerate(items, 1):
        yield Field(
            name=name,
            kind=Kind.INTEGER,
            group=Group.ITEM,
            label=f"{instrument.name} item {number}",
            high=high,
            unit="points",
            loinc=code,
        )


def make_followup_fields(horizons: Iterable[Horizon]) -> Iterator[Field]:
    """Build one field for each instrument and horizon at which it can be read."""
    for instrument, horizon in product(INSTRUMENTS.values(), horizons):
        if can_read(instrument, horizon):
            yield Field(
                name=name_followup(instrument, horizon),
                kind=Kind.INTEGER,
                group=Group.FOLLOWUP,
                label=f"{instrument.name} total, {horizon.label}",
                high=instrument.high,
                unit="points",
                step=5,
                loinc=instrument.loinc_total,
            )


def make_assessment_fields() -> Iterator[Field]:
    """Build every field of an assessment, in the order in which pages and files show them.

    Early scores come last: only an estimate made again after treatment has begun reads them.
    """
    declared = read_declared_fields()
    yield from declared[Group.IDENTITY]
    yield from declared[Group.BACKGROUND]
    yield from map(make_score_field, INSTRUMENTS.values())
    yield from declared[Group.HISTORY]
    yield from declared[Group.REGIMEN]
    yield from declared[Group.SCREENING]
    for instrument in INSTRUMENTS.values():
        yield from make_item_fields(instrument)
    yield from make_followup_fields(CHECKPOINTS)


def index_fields(fields: Iterable[Field]) -> Mapping[str, Field]:
    """Index fields by name, read-only, in their order."""
    return MappingProxyType({field.name: field for field in fields})


FIELDS = index_fields(make_assessment_fields())
FOLLOWUPS = index_fields(make_followup_fields(HORIZONS.values()))
COHORT_FIELDS: Mapping[str, Field] = MappingProxyType({**FIELDS, **FOLLOWUPS})

# Follow-ups that no instrument can give, and why.
UNREADABLE: Mapping[str, str] = MappingProxyType(
    {
        name_followup(instrument, horizon): explain_recall(instrument, horizon)
        for instrument, horizon in product(INSTRUMENTS.values(), HORIZONS.values())
        if not can_read(instrument, horizon)
    }
)


def list_fields(*groups: Group) -> list[Field]:
    """List the fields of some groups, in order."""
    return [field for field in COHORT_FIELDS.values() if field.group in groups]
