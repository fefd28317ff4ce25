"""What an instrument is: a rating scale's items, range, bands, recall window and cut-offs."""

import re
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from features.base.arrays import Flags, Numbers
from features.base.errors import join_broken
from features.dictionary.horizon import HORIZONS, Horizon

# Limits on what a user's own file may hold; no scale comes near them.
Count = Annotated[int, Field(ge=0, le=10_000)]
Text = Annotated[str, Field(min_length=1, max_length=300)]


# An underscore separates a key from what follows: inside a key it precedes a letter, as it does in
# no item, and the last part is not a horizon, as it is in a follow-up.
_KEY = re.compile(r"[a-z][a-z0-9]+(_[a-z][a-z0-9]*)*")
_MAX_KEY = 24
_ITEM = re.compile(r"[a-z][a-z0-9_]{0,31}_[1-9][0-9]{0,2}")


def _check_key(key: str) -> str:
    if not _KEY.fullmatch(key) or len(key) > _MAX_KEY:
        raise PydanticCustomError(
            "name",
            "must begin with a letter and hold lower-case letters, digits and underscores, each "
            "followed by a letter, at most 24 in all; `dass21_depression` is such a key",
        )
    if key.rpartition("_")[2] in HORIZONS:
        raise PydanticCustomError(
            "name", "must not end in a horizon, as the name of a follow-up does"
        )
    return key


def _check_item_name(name: str) -> str:
    if not _ITEM.fullmatch(name):
        raise PydanticCustomError(
            "name", "must be lower-case letters and digits, an underscore and a number: `dass21_3`"
        )
    return name


ItemName = Annotated[str, AfterValidator(_check_item_name)]


class Band(BaseModel):
    """A named range of totals, from `low` up to the next band."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Count
    label: Text


class Instrument(BaseModel):
    """A rating scale, as ``instruments.toml`` has it."""

    # hide_input_in_errors: pydantic's messages would quote the file.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Its name in fields and outcomes.
    key: Annotated[str, AfterValidator(_check_key)]
    name: Text
    measures: Text
    # The category of the field `condition` whose severity it measures, None if of none: the key
    # of published base rates. `measures` is for readers.
    condition: str | None = None
    # Of each item the highest score, in order; every item starts at 0.
    item_highs: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)]
    recall_days: Annotated[int, Field(ge=1, le=400)]
    source: Text
    # Fields of the items, if they are not `key_1` and so on: subscales share those of their form.
    item_names: tuple[ItemName, ...] = ()
    # The total is the sum of the items times this: a short form on the scale of the long one.
    multiplier: Annotated[int, Field(ge=1, le=100)] = 1
    # Items (counted from 1) of which only the highest counts; all others count alone.
    domains: tuple[tuple[Annotated[int, Field(ge=1)], ...], ...] = ()
    bands: tuple[Band, ...] = ()
    # Of its shortest validated form, e.g. the 24-hour MADRS.
    shortest_recall_days: Annotated[int, Field(ge=1)] | None = None
    # Fall from baseline, in per cent, that counts as response.
    response_percent: Annotated[int, Field(ge=1, le=100)] = 50
    # None if no total defines remission.
    remission_at_most: Count | None = None
    # With no more missing, a total is pro-rated from the other items.
    missing_items_allowed: Count = 0
    # Shorter scales with much the same items, which must not be taken for it.
    short_forms: tuple[Text, ...] = ()
    clinician_rated: bool = False
    loinc_total: str | None = None
    loinc_panel: str | None = None
    loinc_items: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_domains(self) -> Self:
        grouped = [item for domain in self.domains for item in domain]
        if len(set(grouped)) < len(grouped) or max(grouped, default=0) > len(self.item_highs):
            raise ValueError("domains must name items, each once")
        return self

    # After the domains: without them the highest total is unknown.
    @model_validator(mode="after")
    def _check_totals(self) -> Self:
        lows = [band.low for band in self.bands] or [0]
        labels = {band.label for band in self.bands}
        rising = all(low < following for low, following in pairwise(lows))
        kept = {
            "bands must start at 0 and rise to the highest total at most": rising
            and lows[0] == 0
            and lows[-1] <= self.high,
            "bands must have labels of their own": len(labels) == len(self.bands),
            "shortest_recall_days must be at most recall_days": self.shortest_recall
            <= self.recall_days,
            "remission_at_most must be below the highest total": (self.remission_at_most or 0)
            < self.high,
            "missing_items_allowed must leave an item": self.missing_items_allowed
            < len(self.item_highs),
            "missing_items_allowed must be 0 with domains, which are not pro-rated": not (
                self.domains and self.missing_items_allowed
            ),
            "item_names must be one per item, each once": not self.item_names
            or len(self.item_highs) == len(self.item_names) == len({*self.item_names}),
            "loinc_items must be one per item": len(self.loinc_items) in (0, len(self.item_highs)),
        }
        if broken := join_broken(kept):
            raise ValueError(broken)
        return self

    @property
    def item_fields(self) -> tuple[str, ...]:
        """Field names of the items, in order."""
        numbers = range(1, len(self.item_highs) + 1)
        return self.item_names or tuple(f"{self.key}_{number}" for number in numbers)

    @property
    def items(self) -> dict[str, int]:
        """Highest score of each item, by field."""
        return dict(zip(self.item_fields, self.item_highs, strict=True))

    @property
    def numbered_items(self) -> dict[float, str]:
        """Fields of the items by number: that in their form, or else their position in the scale.

        Item 3 of the DASS-21 is `dass21_3`, though it is the first of its subscale.
        """
        numbers = [float(name.rpartition("_")[2]) for name in self.item_fields]
        if len({*numbers}) < len(numbers):
            numbers = [float(position) for position in range(1, len(numbers) + 1)]
        return dict(zip(numbers, self.item_fields, strict=True))

    @property
    def scoring(self) -> tuple[tuple[int, ...], ...]:
        """Item positions (from 0) of each scored unit; a unit scores its highest item."""
        units = [tuple(item - 1 for item in domain) for domain in self.domains]
        shared = {item for unit in units for item in unit}
        units += [(item,) for item in range(len(self.item_highs)) if item not in shared]
        return tuple(sorted(units))

    @property
    def high(self) -> int:
        """Highest total."""
        highs = (max(self.item_highs[item] for item in unit) for unit in self.scoring)
        return self.multiplier * sum(highs)

    @property
    def shortest_recall(self) -> int:
        """Days that its shortest validated form asks about."""
        return self.shortest_recall_days or self.recall_days

    @property
    def band_ranges(self) -> tuple[tuple[str, int, int], ...]:
        """Label, lowest and highest total of each band."""
        lows = [band.low for band in self.bands]
        highs = [*(low - 1 for low in lows[1:]), self.high]
        labels = (band.label for band in self.bands)
        return tuple(zip(labels, lows, highs, strict=False))

    def name_followup(self, horizon: Horizon) -> str:
        """Name the field with its total at a horizon."""
        return f"{self.key}_{horizon.key}"

    def can_read(self, horizon: Horizon) -> bool:
        """Return whether it asks about no more days than a horizon has."""
        return self.shortest_recall <= horizon.latest_days

    def explain_recall(self, horizon: Horizon) -> str:
        """Explain why it cannot be read at a horizon."""
        return (
            f"{self.name} asks about the last {self.shortest_recall} days; "
            f"{horizon.key} ends {horizon.latest_days:g} days after the first dose"
        )

    def name_band(self, total: float) -> str | None:
        """Name the band of a total; None if it has no bands."""
        below = [band.label for band in self.bands if band.low <= total]
        return below[-1] if below else None

    def has_responded(self, baseline: Numbers, followup: Numbers) -> Flags:
        """Return whether each course responded; integers, so that no rounding decides."""
        return 100 * followup <= (100 - self.response_percent) * baseline

    def is_in_remission(self, followup: Numbers) -> Flags:
        """Return whether each course is in remission; ValueError if no total defines it."""
        if self.remission_at_most is None:
            raise ValueError(f"{self.name} has no remission cut-off")
        return followup <= self.remission_at_most
