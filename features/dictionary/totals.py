"""The fields of instruments: totals, items and follow-ups."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from features.dictionary.field import Field, Group, Kind
from features.dictionary.horizon import Horizon
from features.dictionary.instrument import Instrument


def make_total(instrument: Instrument) -> Field:
    """Make the field of a baseline total."""
    rater = "Clinician-rated" if instrument.clinician_rated else "Self-rated"
    times = instrument.multiplier
    summed = f"; the sum of the items times {times}" if times > 1 else ""
    return _make_score(
        instrument,
        Group.SCORE,
        name=instrument.key,
        label=f"{instrument.name} total",
        high=instrument.high,
        step=5,
        help=f"{rater} {instrument.measures}, last {instrument.recall_days} days{summed}",
        loinc=instrument.loinc_total,
        source=instrument.source,
    )


def make_items(instrument: Instrument) -> Iterator[Field]:
    """Make the fields of the items."""
    codes = instrument.loinc_items or (None,) * len(instrument.item_highs)
    items = zip(instrument.item_fields, instrument.item_highs, codes, strict=True)
    for name, high, code in items:
        label = f"{instrument.name} item {name.rpartition('_')[2]}"
        yield _make_score(instrument, Group.ITEM, name=name, label=label, high=high, loinc=code)


def make_followups(
    instruments: Iterable[Instrument], horizons: Iterable[Horizon]
) -> Iterator[Field]:
    """Make the fields of totals at the horizons at which they can be read."""
    for instrument, horizon in product(instruments, horizons):
        if instrument.can_read(horizon):
            yield _make_score(
                instrument,
                Group.FOLLOWUP,
                name=instrument.name_followup(horizon),
                label=f"{instrument.name} total, {horizon.label}",
                high=instrument.high,
                step=5,
                loinc=instrument.loinc_total,
            )


def _make_score(instrument: Instrument, group: Group, **facts: Any) -> Field:
    return Field(kind=Kind.INTEGER, group=group, unit="points", instrument=instrument.key, **facts)
