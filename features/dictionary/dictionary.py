"""The dictionary: every field and instrument that can be said of a patient, as one value.

``fields.toml`` and ``instruments.toml`` make the built-in one. A study may add instruments, fields,
agents and conditions; then its cohort, its model's card and all who read that card carry the
dictionary with them. Forms, schemas, validation, reference pages and the ranges on cards all come
from its fields.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from features.base.errors import DictionaryError
from features.dictionary.additions import (
    AddedCategory,
    AddedField,
    Additions,
    Agent,
    Prior,
    check_additions,
    join_additions,
    read_additions,
)
from features.dictionary.field import Field, Group, Kind
from features.dictionary.horizon import CHECKPOINTS, HORIZONS
from features.dictionary.instrument import Instrument
from features.dictionary.totals import make_followups, make_items, make_total

# Parts of a regimen that only drugs have, unlike talking therapies and devices.
DOSES = ("dose_mg_kg", "dose_mg")
DRUG_FIELDS = ("route", *DOSES)
# A process uses few dictionaries: the built-in one, and one for each set of additions.
KNOWN_DICTIONARIES = 32


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What can be said of a patient. Use :func:`load_dictionary` or :func:`make_dictionary`.

    Equal additions give the same object, so that tables derived from it are made once.
    """

    instruments: Mapping[str, Instrument]
    # Those of an assessment, in the order in which forms and files show them.
    fields: Mapping[str, Field]
    # Totals of every instrument at every horizon at which it can be read.
    followups: Mapping[str, Field]
    # What is not built in.
    added: Additions

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
    def item_owners(self) -> Mapping[str, tuple[str, ...]]:
        """Keys of the instruments of each item field; a form and its subscales share items."""
        owners: dict[str, tuple[str, ...]] = {}
        for key, instrument in self.instruments.items():
            for name in instrument.item_fields:
                owners[name] = (*owners.get(name, ()), key)
        return owners

    @cached_property
    def multiples(self) -> tuple[Field, ...]:
        """Totals that are a multiple of a sum, at baseline and later."""
        totals = self.list_fields(Group.SCORE, Group.FOLLOWUP)
        known = self.instruments
        return tuple(
            field for field in totals if field.instrument and known[field.instrument].multiplier > 1
        )

    @cached_property
    def agents(self) -> Mapping[str, Agent]:
        """The agents that are not built in."""
        return {agent.key: agent for agent in self.added.agents}

    @cached_property
    def added_fields(self) -> Mapping[str, AddedField]:
        """The fields that are not built in, without those of instruments."""
        return {field.key: field for field in self.added.fields}

    @cached_property
    def agent_positions(self) -> Mapping[int, Agent]:
        """The agents that are not built in, by their position among the categories of `agent`."""
        categories = self.fields["agent"].categories
        return {categories.index(key): agent for key, agent in self.agents.items()}

    @cached_property
    def undosed_agents(self) -> list[int]:
        """Positions of the agents that have neither route nor dose."""
        return [position for position, agent in self.agent_positions.items() if not agent.is_drug]

    @cached_property
    def dose_limits(self) -> Mapping[str, Mapping[int | None, tuple[float, float]]]:
        """Lowest and highest dose accepted: per dose field, by the agent's position.

        The key None is every agent that states no doses of its own. Empty if none does: then the
        ranges of the fields hold for all.
        """
        declared, agents = _list_declared(), self.agent_positions
        stated = {
            name: {i: doses for i, agent in agents.items() if (doses := getattr(agent, name))}
            for name in DOSES
        }
        return {
            name: {None: (declared[name].low, declared[name].high)} | doses
            for name, doses in stated.items()
            if doses
        }

    def find_prior(self, name: str, category: str = "") -> Prior | None:
        """Return the prior that an added field, or an added category of a field, states."""
        if name in self.added_fields:
            return self.added_fields[name].prior
        entries = _list_added(name, self.added)
        return next((entry.prior for entry in entries if entry.key == category), None)

    def label_category(self, category: str) -> str:
        """Name a category for people: by its label if it was added."""
        return self._category_labels.get(category, category.replace("_", " "))

    @cached_property
    def _category_labels(self) -> Mapping[str, str]:
        return {entry.key: entry.label for entry in (*self.added.agents, *self.added.conditions)}

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


def load_dictionary(*paths: Path | None) -> Dictionary:
    """Load the built-in dictionary, with what a study's files add to it.

    A file has ``[instruments.key]``, ``[fields.name]``, ``[agents.key]`` and ``[conditions.key]``,
    or instruments alone as in ``instruments.toml``; paths that are None are skipped.

    Raises
    ------
    DictionaryError
        If a file cannot be read or breaks a rule. Lists the problems of every entry or, if there
        are none, every contradiction between entries and with what is built in.
    """
    files = [path for path in paths if path is not None]
    try:
        return make_dictionary(join_additions(read_additions(path) for path in files))
    except DictionaryError as error:
        source = error.source or ", ".join(path.name for path in files)
        raise DictionaryError(error.problems, source) from None


@lru_cache(maxsize=KNOWN_DICTIONARIES)
def make_dictionary(added: Additions) -> Dictionary:
    """Make the built-in dictionary with some additions.

    An instrument or a field that is identical to a built-in one adds nothing: a study's own may
    have been built in since.

    Raises
    ------
    DictionaryError
        If an addition bears a name that is taken, or names a condition, a route or a screening
        field that does not exist.
    """
    built_in = _read_built_in()
    added = added.model_copy(
        update={
            "instruments": tuple(scale for scale in added.instruments if scale not in built_in),
            "fields": tuple(field for field in added.fields if not _is_built_in(field)),
        }
    )
    if problems := list(check_additions(added, built_in, _list_declared())):
        raise DictionaryError(problems)
    instruments = (*built_in, *added.instruments)
    return Dictionary(
        MappingProxyType({instrument.key: instrument for instrument in instruments}),
        _index_fields(_make_fields(instruments, added)),
        _index_fields(make_followups(instruments, HORIZONS.values())),
        added,
    )


def combine_dictionaries(dictionaries: Iterable[Dictionary]) -> Dictionary:
    """Make the dictionary with the additions of all, which must not define a key differently.

    Its categories may have other positions than in each of them.
    """
    return make_dictionary(join_additions(dictionary.added for dictionary in dictionaries))


def _list_added(name: str, added: Additions) -> tuple[AddedCategory, ...]:
    entries: dict[str, tuple[AddedCategory, ...]] = {
        "agent": added.agents,
        "condition": added.conditions,
    }
    return entries.get(name, ())


def _list_declared() -> dict[str, Field]:
    return {field.name: field for fields in _read_declared().values() for field in fields}


def _is_built_in(added: AddedField) -> bool:
    return _make_added(added) == _list_declared().get(added.key)


@lru_cache(maxsize=1)
def _read_built_in() -> tuple[Instrument, ...]:
    return read_additions(Path(__file__).with_name("instruments.toml")).instruments


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


def _extend_field(field: Field, added: Additions) -> Field:
    if field.name in DOSES:
        # As wide as any agent needs; rules keep each agent to its own.
        doses = [dose for agent in added.agents if (dose := getattr(agent, field.name))]
        lows, highs = zip((field.low, field.high), *doses, strict=True)
        return replace(field, low=min(lows), high=max(highs))
    # After those built in, whose positions are the same in every dictionary.
    keys = tuple(entry.key for entry in _list_added(field.name, added))
    return replace(field, categories=(*field.categories, *keys)) if keys else field


def _make_added(added: AddedField) -> Field:
    low, high = added.range or (0.0, 0.0)
    return Field(
        name=added.key,
        kind=Kind(added.kind),
        group=Group(added.group),
        low=low,
        high=high,
        **{
            name: getattr(added, name)
            for name in ("label", "unit", "categories", "step", "help", "loinc", "source")
        },
    )


def _make_fields(instruments: tuple[Instrument, ...], added: Additions) -> Iterator[Field]:
    declared = {
        group: [_extend_field(field, added) for field in fields]
        for group, fields in _read_declared().items()
    }
    for field in map(_make_added, added.fields):
        declared[field.group].append(field)
    yield from declared[Group.IDENTITY]
    yield from declared[Group.BACKGROUND]
    yield from map(make_total, instruments)
    yield from declared[Group.HISTORY]
    yield from declared[Group.REGIMEN]
    yield from declared[Group.SCREENING]
    for instrument in instruments:
        yield from make_items(instrument)
    # Early scores come last: only an update, made after treatment has begun, reads them.
    yield from make_followups(instruments, CHECKPOINTS)
