"""Fields: those that ``fields.toml`` declares, and those that follow from instruments."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any

from features.dictionary.field import Field, Group, Kind
from features.dictionary.horizon import CHECKPOINTS, Horizon, can_read, name_followup
from features.dictionary.instrument import Instrument


def list_assessment_fields(instruments: Sequence[Instrument]) -> Iterator[Field]:
    """List every field of an assessment, in the order in which forms and files show them.

    Early scores come last: only an update, made after treatment has begun, reads them.
    """
    declared = read_declared_fields()
    yield from declared[Group.IDENTITY]
    yield from declared[Group.BACKGROUND]
    yield from map(_make_score_field, instruments)
    yield from declared[Group.HISTORY]
    yield from declared[Group.REGIMEN]
    yield from declared[Group.SCREENING]
    for instrument in instruments:
        yield from _make_item_fields(instrument)
    yield from make_followup_fields(instruments, CHECKPOINTS)


@lru_cache(maxsize=1)
def read_declared_fields() -> dict[Group, list[Field]]:
    """Read ``fields.toml``."""
    table = tomllib.loads(files("features.dictionary").joinpath("fields.toml").read_text("utf-8"))
    return {
        Group(group): [_make_declared_field(Group(group), name, **f) for name, f in fields.items()]
        for group, fields in table.items()
    }


def _make_declared_field(group: Group, name: str, kind: str, **facts: Any) -> Field:
    low, high = facts.pop("range", (0, 0))
    categories = tuple(facts.pop("categories", ()))
    return Field(
        name=name, kind=Kind(kind), group=group, low=low, high=high, categories=categories, **facts
    )


def _make_score_field(instrument: Instrument) -> Field:
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
        instrument=instrument.key,
    )


def _make_item_fields(instrument: Instrument) -> Iterator[Field]:
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
            instrument=instrument.key,
        )


def make_followup_fields(
    instruments: Iterable[Instrument], horizons: Iterable[Horizon]
) -> Iterator[Field]:
    """Make a field for each instrument and horizon at which it can be read."""
    for instrument, horizon in product(instruments, horizons):
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
                instrument=instrument.key,
            )
