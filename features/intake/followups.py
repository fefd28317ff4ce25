"""Items at follow-up: columns such as ``phq9_3_acute``, from which a follow-up is totalled."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field
from features.dictionary.horizon import HORIZONS


class FollowupItem(NamedTuple):
    """An item of an instrument at a horizon."""

    field: Field
    horizon: str


@lru_cache(maxsize=8)
def list_followup_items(dictionary: Dictionary) -> Mapping[str, FollowupItem]:
    """List the items of every instrument at every horizon at which it can be read, by name."""
    items = {
        f"{name}_{key}": FollowupItem(dictionary.fields[name], key)
        for instrument in dictionary.instruments.values()
        for key, horizon in HORIZONS.items()
        if instrument.can_read(horizon)
        for name in instrument.item_fields
    }
    return MappingProxyType(items)


@lru_cache(maxsize=8)
def list_column_fields(dictionary: Dictionary) -> Mapping[str, Field]:
    """List what a cohort's columns may be, by name: its fields, and items at follow-up."""
    items = {name: item.field for name, item in list_followup_items(dictionary).items()}
    return MappingProxyType({**items, **dictionary.cohort_fields})
