"""The dictionary: every field, instrument and outcome that can be said of a patient, as one value.

``fields.toml`` and ``instruments.toml`` make the built-in one. A study may add instruments; then
its cohort, its model's card and whoever reads that card carry the dictionary with them. The form,
the schemas, validation, the pages of reference and the ranges on cards all come from its fields.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from types import MappingProxyType

from features.base.errors import DictionaryError, Problem
from features.dictionary.field import Field, Group
from features.dictionary.fields import (
    list_assessment_fields,
    make_followup_fields,
    read_declared_fields,
)
from features.dictionary.horizon import HORIZONS, can_read, explain_recall, name_followup
from features.dictionary.instrument import Instrument, parse_instruments, read_instruments

# A process meets few dictionaries: the built-in one, and one for each set of added instruments.
KNOWN_DICTIONARIES = 32


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What can be said of a patient. Use :func:`load_dictionary` or :func:`make_dictionary`.

    Equal instruments give the same object, so that tables derived from it are made once.

    Parameters
    ----------
    instruments
        By key.
    fields
        Fields of an assessment by name, in the order in which forms and files show them.
    followups
        Follow-up totals by name: every instrument at every horizon at which it can be read.
    added
        The instruments that are not built in.
    """

    instruments: Mapping[str, Instrument]
    fields: Mapping[str, Field]
    followups: Mapping[str, Field]
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
        scores = (Group.SCORE, Group.ITEM)
        return tuple(name for name, field in self.fields.items() if field.group in scores)

    @cached_property
    def item_owners(self) -> Mapping[str, str]:
        """Key of the instrument of each item field."""
        instruments = self.instruments.values()
        return {name: one.key for one in instruments for name in one.item_fields}

    @cached_property
    def unreadable(self) -> Mapping[str, str]:
        """Follow-ups that an instrument cannot give, and why."""
        pairs = product(self.instruments.values(), HORIZONS.values())
        return {
            name_followup(instrument, horizon): explain_recall(instrument, horizon)
            for instrument, horizon in pairs
            if not can_read(instrument, horizon)
        }

    def list_fields(self, *groups: Group) -> list[Field]:
        """List the fields of some groups, in order."""
        return [field for field in self.cohort_fields.values() if field.group in groups]


def load_dictionary(extra: Path | None = None) -> Dictionary:
    """Load the built-in dictionary, with the instruments of a file if one is given.

    Parameters
    ----------
    extra
        TOML in the form of ``instruments.toml``.

    Raises
    ------
    DictionaryError
        If the file cannot be read or breaks a rule; lists every problem.
    """
    return make_dictionary(() if extra is None else read_instruments(extra))


@lru_cache(maxsize=KNOWN_DICTIONARIES)
def make_dictionary(added: tuple[Instrument, ...]) -> Dictionary:
    """Make the built-in dictionary with some instruments added.

    Parameters
    ----------
    added
        One that has meanwhile been built in, just as it is, adds nothing.

    Raises
    ------
    DictionaryError
        If an instrument bears the name of a field or of another one, or a condition is unknown.
    """
    added = tuple(one for one in added if one not in _read_built_in())
    instruments = {one.key: one for one in (*_read_built_in(), *added)}
    fields = {field.name: field for field in list_assessment_fields([*instruments.values()])}
    followups = {
        field.name: field for field in make_followup_fields(instruments.values(), HORIZONS.values())
    }
    if problems := list(_check_added(added, fields)):
        raise DictionaryError(problems, source="instruments")
    return Dictionary(
        MappingProxyType(instruments), MappingProxyType(fields), MappingProxyType(followups), added
    )


def combine_dictionaries(dictionaries: Iterable[Dictionary]) -> Dictionary:
    """Make the dictionary that knows the instruments of all.

    Raises
    ------
    DictionaryError
        If two define one instrument differently.
    """
    added = dict.fromkeys(one for dictionary in dictionaries for one in dictionary.added)
    return make_dictionary(tuple(added))


def _check_added(added: Sequence[Instrument], fields: Mapping[str, Field]) -> Iterator[Problem]:
    """Find names that are taken, and conditions that do not exist."""
    own = [name for one in added for name in _list_names(one)]
    taken = {*_list_names(*_read_built_in()), *_list_declared_names()}
    conditions = fields["condition"].categories
    for one in added:
        if set(_list_names(one)) & taken or own.count(one.key) > 1:
            message = "names fields that exist already; choose another key"
            yield Problem(one.key, "duplicate", message)
        if one.condition is not None and one.condition not in conditions:
            message = f"must be one of: {', '.join(conditions)}; leave it out for anything else"
            yield Problem(f"{one.key}.condition", "category", message)


def _list_names(*instruments: Instrument) -> list[str]:
    """List the names of all fields that some instruments make."""
    fields = make_followup_fields(instruments, HORIZONS.values())
    names = [field.name for field in fields]
    return [*names, *(name for one in instruments for name in (one.key, *one.item_fields))]


def _list_declared_names() -> set[str]:
    return {field.name for fields in read_declared_fields().values() for field in fields}


@lru_cache(maxsize=1)
def _read_built_in() -> tuple[Instrument, ...]:
    name = "instruments.toml"
    return parse_instruments(files("features.dictionary").joinpath(name).read_text("utf-8"), name)
