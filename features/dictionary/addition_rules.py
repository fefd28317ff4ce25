"""Rules between additions, and between them and what is built in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from features.base.errors import Problem
from features.dictionary.additions import Addition, Additions
from features.dictionary.column_names import is_known_later, names_person
from features.dictionary.field import Field, Group
from features.dictionary.horizon import HORIZONS
from features.dictionary.instrument import Instrument

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
    for scale in added.instruments:
        for name, high in scale.items.items() if scale.key not in taken_keys else ():
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
            message = "reads like what is known only after the first dose; choose another name"
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
