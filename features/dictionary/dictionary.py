"""The dictionary: every field and instrument that can be said of a patient, as one value.

``fields.toml`` and ``instruments.toml`` make the built-in one. A study may add instruments; then
its cohort, its model's card and all who read that card carry the dictionary with them. Forms,
schemas, validation, reference pages and the ranges on cards all come from its fields.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from features.base.errors import DictionaryError, Problem
from features.dictionary.field import Field, Group, Kind
from features.dictionary.horizon import CHECKPOINTS, HORIZONS, Horizon
from features.dictionary.instrument import Instrument, read_instruments

# A process meets few dictionaries: the built-in one, and one for each set of added instruments.
KNOWN_DICTIONARIES = 32


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What can be said of a patient. Use :func:`load_dictionary` or :func:`make_dictionary`.

    Equal instruments give the same object, so that tables derived from it are made once.
    """

    instruments: Mapping[str, Instrument]
    # Those of an assessment, in the order in which forms and files show them.
    fields: Mapping[str, Field]
    # Totals of every instrument at every horizon at which it can be read.
    followups: Mapping[str, Field]
    # The instruments that are not built in.
    added: tuple[Instrument, ...] = ()

    @cached_property
    def cohort_fields(self) -> Mapping[str, Field]:
        """Fields of an assessment and follow-up totals, by name."""
        return MappingProxyType({**self.fields, **self.followups})

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the fields of an assessment."""
        return frozenset(self.fields)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Fields without which an assessment is refused."""
        return tuple(name for name, field in self.fields.items() if field.required)

    @cached_property
    def score_names(self) -> tuple[str, ...]:
        """Fields of baseline totals and of their items."""
        return tuple(field.name for field in self.list_fields(Group.SCORE, Group.ITEM))

    @cached_property
    def item_owners(self) -> Mapping[str, str]:
        """Key of the instrument of each item field."""
        items = self.list_fields(Group.ITEM)
        return {field.name: field.instrument for field in items if field.instrument}

    @cached_property
    def unreadable(self) -> Mapping[str, str]:
        """Follow-ups that an instrument cannot give, and why."""
        pairs = product(self.instruments.values(), HORIZONS.values())
        return {
            instrument.name_followup(horizon): instrument.explain_recall(horizon)
            for instrument, horizon in pairs
            if not instrument.can_read(horizon)
        }

    def list_fields(self, *groups: Group) -> list[Field]:
        """List the fields of some groups, in order."""
        return [field for field in self.cohort_fields.values() if field.group in groups]


def load_dictionary(extra: Path | None = None) -> Dictionary:
    """Load the built-in dictionary, with the instruments of a file like ``instruments.toml``.

    Raises
    ------
    DictionaryError
        If the file cannot be read or breaks a rule; lists every problem.
    """
    return make_dictionary(() if extra is None else read_instruments(extra))


@lru_cache(maxsize=KNOWN_DICTIONARIES)
def make_dictionary(added: tuple[Instrument, ...]) -> Dictionary:
    """Make the built-in dictionary with some instruments added.

    One that has meanwhile been built in, just as it is, adds nothing.

    Raises
    ------
    DictionaryError
        If an instrument bears the name of a field or of another one, or a condition is unknown.
    """
    built_in = _read_built_in()
    added = tuple(instrument for instrument in added if instrument not in built_in)
    if problems := list(_check_added(added)):
        raise DictionaryError(problems, source="instruments")
    instruments = (*built_in, *added)
    return Dictionary(
        MappingProxyType({instrument.key: instrument for instrument in instruments}),
        _index_fields(_make_fields(instruments)),
        _index_fields(_make_followups(instruments, HORIZONS.values())),
        added,
    )


def combine_dictionaries(dictionaries: Iterable[Dictionary]) -> Dictionary:
    """Make the dictionary that knows the instruments of all; none may define one its own way."""
    added = dict.fromkeys(scale for dictionary in dictionaries for scale in dictionary.added)
    return make_dictionary(tuple(added))


def _check_added(added: tuple[Instrument, ...]) -> Iterator[Problem]:
    declared = {field.name: field for fields in _read_declared().values() for field in fields}
    taken = {*declared, *_list_names(_read_built_in())}
    keys = [instrument.key for instrument in added]
    conditions = declared["condition"].categories
    for instrument in added:
        if taken.intersection(_list_names([instrument])) or keys.count(instrument.key) > 1:
            message = "names fields that exist already; choose another key"
            yield Problem(instrument.key, "duplicate", message)
        if instrument.condition is not None and instrument.condition not in conditions:
            message = f"must be one of: {', '.join(conditions)}; leave it out for anything else"
            yield Problem(f"{instrument.key}.condition", "category", message)


def _list_names(instruments: Iterable[Instrument]) -> Iterator[str]:
    for instrument in instruments:
        yield from (instrument.key, *instrument.item_fields)
        yield from map(instrument.name_followup, HORIZONS.values())


@lru_cache(maxsize=1)
def _read_built_in() -> tuple[Instrument, ...]:
    return read_instruments(Path(__file__).with_name("instruments.toml"))


@lru_cache(maxsize=1)
def _read_declared() -> dict[Group, list[Field]]:
    table = tomllib.loads(Path(__file__).with_name("fields.toml").read_text("utf-8"))
    return {
        Group(group): [
            _make_declared(Group(group), name, **facts) for name, facts in fields.items()
        ]
        for group, fields in table.items()
    }


def _make_declared(group: Group, name: str, kind: str, **facts: Any) -> Field:
    low, high = facts.pop("range", (0, 0))
    categories = tuple(facts.pop("categories", ()))
    return Field(
        name=name, kind=Kind(kind), group=group, low=low, high=high, categories=categories, **facts
    )


def _index_fields(fields: Iterable[Field]) -> Mapping[str, Field]:
    return MappingProxyType({field.name: field for field in fields})


def _make_fields(instruments: tuple[Instrument, ...]) -> Iterator[Field]:
    declared = _read_declared()
    yield from declared[Group.IDENTITY]
    yield from declared[Group.BACKGROUND]
    yield from map(_make_total, instruments)
    yield from declared[Group.HISTORY]
    yield from declared[Group.REGIMEN]
    yield from declared[Group.SCREENING]
    for instrument in instruments:
        yield from _make_items(instrument)
    # Early scores come last: only an update, made after treatment has begun, reads them.
    yield from _make_followups(instruments, CHECKPOINTS)


def _make_total(instrument: Instrument) -> Field:
    rater = "Clinician-rated" if instrument.clinician_rated else "Self-rated"
    return _make_score(
        instrument,
        Group.SCORE,
        name=instrument.key,
        label=f"{instrument.name} total",
        high=instrument.high,
        step=5,
        help=f"{rater} {instrument.measures}, last {instrument.recall_days} days",
        loinc=instrument.loinc_total,
        source=instrument.source,
    )


def _make_items(instrument: Instrument) -> Iterator[Field]:
    codes = instrument.loinc_items or (None,) * len(instrument.item_highs)
    items = zip(instrument.item_fields, instrument.item_highs, codes, strict=True)
    for number, (name, high, code) in enumerate(items, 1):
        label = f"{instrument.name} item {number}"
        yield _make_score(instrument, Group.ITEM, name=name, label=label, high=high, loinc=code)


def _make_followups(
    instruments: Iterable[Instrument], horizons: Iterable[Horizon]
) -> Iterator[Field]:
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
