"""What a study adds to the dictionary: instruments, fields, agents and conditions.

They come from one TOML file, ``[instruments.key]``, ``[fields.name]``, ``[agents.key]`` and
``[conditions.key]``, and travel on the cards of the study's models.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Setting
from pydantic_core import PydanticCustomError

from features.base.errors import DictionaryError, Problem, join_broken, list_problems
from features.base.files import read_toml
from features.dictionary.column_names import is_known_later, names_person
from features.dictionary.field import Field, Group
from features.dictionary.horizon import HORIZONS
from features.dictionary.instrument import Instrument, Text

_NAME = re.compile(r"[a-z][a-z0-9_]{1,31}")
# As cells of a file, these would be missing values or flags.
_UNREADABLE_WORDS = frozenset({"nan", "null", "true", "false"})


def _check_word(word: str) -> str:
    if not _NAME.fullmatch(word) or word in _UNREADABLE_WORDS:
        raise PydanticCustomError(
            "name",
            "must be 2 to 32 lower-case letters, digits and underscores, a letter first; and not "
            "nan, null, true or false",
        )
    return word


Word = Annotated[str, AfterValidator(_check_word)]
Bound = Annotated[float, Setting(ge=-1e9, le=1e9, allow_inf_nan=False)]
Size = Annotated[float, Setting(gt=0, le=1e9, allow_inf_nan=False)]


class Addition(BaseModel):
    """Base of everything that a study adds: frozen, nothing extra, a key and a label."""

    # hide_input_in_errors: pydantic's messages would quote the file.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: Word
    label: Text


class Prior(BaseModel):
    """A normal prior about 0, which states no direction: how large an effect may be."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Standard deviation of the log-odds for `step` more of the field.
    spread: Annotated[float, Setting(gt=0, le=5)]
    step: Size = 1.0


class AddedField(Addition):
    """A field of an assessment, known before treatment; see :class:`features.dictionary.Field`."""

    kind: Literal["number", "integer", "category", "flag"]
    source: Text
    help: Annotated[str, Setting(max_length=300)] = ""
    # Where forms show it. Screening is left out: no rule would read the field.
    group: Literal["background", "history", "regimen"] = "history"
    range: tuple[Bound, Bound] | None = None
    unit: Annotated[str, Setting(max_length=40)] = ""
    categories: tuple[Word, ...] = ()
    # To which a studied range is rounded outward before it is published.
    step: Size = 1.0
    loinc: str | None = None
    prior: Prior | None = None
    # Mean and standard deviation in such patients, for a cohort too small to show them.
    typical: tuple[Bound, Size] | None = None

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        numeric = self.kind in ("number", "integer")
        low, high = self.range or (0.0, 0.0)
        whole = low.is_integer() and high.is_integer()
        kept = {
            "a number needs a range, [lowest, highest], and nothing else has one": numeric
            == (self.range is not None),
            "range must rise": not numeric or low < high or self.range is None,
            "the range of an integer must be whole numbers": self.kind != "integer" or whole,
            "step must be less than the range": not self.range or self.step < high - low,
            "a category needs two categories or more, each once, and nothing else has them": (
                self.kind == "category"
            )
            == (len({*self.categories}) > 1)
            and len({*self.categories}) == len(self.categories),
            "only a number has a unit": numeric or not self.unit,
            "only a number has a typical value, within its range": not self.typical
            or low <= self.typical[0] <= high,
            "the prior's step must be 1 but for a number": numeric
            or not self.prior
            or self.prior.step == 1,
        }
        if broken := join_broken(kept):
            raise PydanticCustomError("parts", broken)
        return self


class AddedCategory(Addition):
    """A category of a built-in field."""

    source: Annotated[str, Setting(max_length=300)] = ""
    prior: Prior | None = None


class Condition(AddedCategory):
    """A condition treated; none has a published base rate."""


class Agent(AddedCategory):
    """A treatment, or an arm of a trial; the published evidence does not apply to it."""

    # Of administration: None if any, empty if it is not a drug and so has no dose either.
    routes: tuple[str, ...] | None = None
    # Fields whose eligibility rules apply to it; the rules were made for ketamine.
    screening: tuple[str, ...] | Literal["all"] = ()
    # Lowest and highest dose, if not those of ketamine.
    dose_mg: tuple[Size, Size] | None = None
    dose_mg_kg: tuple[Size, Size] | None = None

    @model_validator(mode="after")
    def _check_doses(self) -> Self:
        doses = [dose for dose in (self.dose_mg, self.dose_mg_kg) if dose]
        kept = {
            "a range of doses must rise": all(low < high for low, high in doses),
            "an agent without a route has no dose": self.is_drug or not doses,
        }
        if broken := join_broken(kept):
            raise PydanticCustomError("parts", broken)
        return self

    @property
    def is_drug(self) -> bool:
        """Whether it has a route and a dose."""
        return self.routes != ()


class Additions(BaseModel):
    """Everything that a study adds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    instruments: tuple[Instrument, ...] = ()
    fields: tuple[AddedField, ...] = ()
    agents: tuple[Agent, ...] = ()
    conditions: tuple[Condition, ...] = ()


_KINDS: Mapping[str, type[BaseModel]] = {
    "instruments": Instrument,
    "fields": AddedField,
    "agents": Agent,
    "conditions": Condition,
}


def join_additions(parts: Iterable[Additions]) -> Additions:
    """Join additions; identical entries are kept once."""
    known = list(parts)
    return Additions(
        **{
            kind: tuple(dict.fromkeys(chain(*(getattr(part, kind) for part in known))))
            for kind in _KINDS
        }
    )


def read_additions(path: Path) -> Additions:
    """Read a user's file, each entry checked by itself.

    A file of instruments alone may leave out the heading, ``[phq9]`` instead of
    ``[instruments.phq9]``.

    Raises
    ------
    DictionaryError
        If the file cannot be read or an entry breaks a rule; lists the problems of every entry.
    """
    tables = read_toml(path, "a dictionary file", DictionaryError)
    prefix = "{kind}.{key}"
    if not _has_parts(tables):
        tables, prefix = {"instruments": tables}, "{key}"
    problems = [
        Problem(name, "unknown", f"must be one of: {', '.join(_KINDS)}")
        for name in tables
        if name not in _KINDS
    ]
    entries: dict[str, list[BaseModel]] = {kind: [] for kind in _KINDS}
    for kind in _KINDS:
        for key, facts in _list_entries(tables.get(kind, {})):
            try:
                entries[kind].append(_KINDS[kind].model_validate({**facts, "key": key}))
            except ValidationError as error:
                problems += list_problems(error, prefix.format(kind=kind, key=key))
    if problems:
        raise DictionaryError(problems, path.name)
    return Additions(**entries)


def _has_parts(tables: Mapping[str, Any]) -> bool:
    # `[agent.cbt]` is a part with a wrong name; an instrument is never a table of tables alone.
    return any(name in _KINDS or _is_nested(table) for name, table in tables.items())


def _is_nested(table: Any) -> bool:
    return isinstance(table, dict) and all(isinstance(entry, dict) for entry in table.values())


def _list_entries(table: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, facts in table.items() if isinstance(table, dict) else ():
        yield key, facts if isinstance(facts, dict) else {}


# Rules between additions, and between them and what is built in.

_TAKEN = "names fields that exist already; choose another key"
# Read by eligibility rules, though they are not of the screening group.
_BLOOD_PRESSURE = ("systolic", "diastolic")


def check_additions(
    added: Additions, built_in: tuple[Instrument, ...], declared: Mapping[str, Field]
) -> Iterator[Problem]:
    """Check additions against each other and against what is built in.

    Parameters
    ----------
    declared
        The built-in fields that are not an instrument's, by name.
    """
    yield from _check_instruments(added, built_in, declared)
    yield from _check_items(added, built_in, declared)
    yield from _check_fields(added, built_in, declared)
    yield from _check_categories("agents", added.agents, declared["agent"])
    yield from _check_categories("conditions", added.conditions, declared["condition"])
    yield from _check_agents(added, declared)


def _check_instruments(
    added: Additions, built_in: tuple[Instrument, ...], declared: Mapping[str, Field]
) -> Iterator[Problem]:
    taken = {*declared, *_list_totals(built_in)}
    keys = [instrument.key for instrument in added.instruments]
    conditions = (*declared["condition"].categories, *(entry.key for entry in added.conditions))
    for instrument in added.instruments:
        if taken.intersection(_list_totals([instrument])) or keys.count(instrument.key) > 1:
            yield Problem(instrument.key, "duplicate", _TAKEN)
        if instrument.condition is not None and instrument.condition not in conditions:
            message = f"must be one of: {', '.join(conditions)}; leave it out for anything else"
            yield Problem(f"{instrument.key}.condition", "category", message)


# The items of a form and of its subscales may be the same fields.
def _check_items(
    added: Additions, built_in: tuple[Instrument, ...], declared: Mapping[str, Field]
) -> Iterator[Problem]:
    taken = {*declared, *_list_totals((*built_in, *added.instruments))}
    taken_keys = {scale.key for scale in built_in}
    highs = {name: high for scale in built_in for name, high in scale.items.items()}
    # One with a key that is taken is reported once, by its key.
    for scale in (scale for scale in added.instruments if scale.key not in taken_keys):
        for name, high in scale.items.items():
            if name in taken:
                yield Problem(f"{scale.key}.item_names", "duplicate", f"{name} is another field")
            elif highs.setdefault(name, high) != high:
                message = f"{name} has another highest score in another instrument"
                yield Problem(f"{scale.key}.item_highs", "duplicate", message)


def _list_totals(instruments: Iterable[Instrument]) -> Iterator[str]:
    for instrument in instruments:
        yield instrument.key
        yield from map(instrument.name_followup, HORIZONS.values())


def _check_fields(
    added: Additions, built_in: tuple[Instrument, ...], declared: Mapping[str, Field]
) -> Iterator[Problem]:
    scales = (*built_in, *added.instruments)
    items = (name for scale in scales for name in scale.items)
    taken = {*declared, *_list_totals(scales), *items}
    names = [field.key for field in added.fields]
    for field in added.fields:
        label = f"fields.{field.key}"
        if field.key in taken or names.count(field.key) > 1:
            yield Problem(label, "duplicate", "is a field that exists already; choose another name")
        if names_person(field.key):
            yield Problem(
                label, "identifier", "reads like a direct identifier; choose another name"
            )
        if is_known_later(field.key):
            message = "reads like something known only after the first dose; choose another name"
            yield Problem(label, "leakage", message)


def _check_categories(kind: str, entries: Sequence[Addition], field: Field) -> Iterator[Problem]:
    keys = [*field.categories, *(entry.key for entry in entries)]
    for entry in entries:
        if keys.count(entry.key) > 1:
            message = f"is a category of {field.name} already; choose another key"
            yield Problem(f"{kind}.{entry.key}", "duplicate", message)


def _check_agents(added: Additions, declared: Mapping[str, Field]) -> Iterator[Problem]:
    groups = (field.name for field in declared.values() if field.group is Group.SCREENING)
    screening = (*groups, *_BLOOD_PRESSURE)
    for agent in added.agents:
        wanted = () if agent.screening == "all" else agent.screening
        for part, names, known in (
            ("routes", agent.routes or (), declared["route"].categories),
            ("screening", wanted, screening),
        ):
            if not {*names} <= {*known}:
                message = f"must be among: {', '.join(known)}"
                yield Problem(f"agents.{agent.key}.{part}", "category", message)
