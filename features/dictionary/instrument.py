"""What an instrument is: a rating scale's items, range, bands, recall window and cut-offs."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.base.arrays import Flags, Numbers
from features.base.errors import DictionaryError, list_problems
from features.base.files import read_toml
from features.dictionary.horizon import Horizon

# Limits on what a user's own file may hold; no scale comes near them.
Count = Annotated[int, Field(ge=0, le=10_000)]
Text = Annotated[str, Field(min_length=1, max_length=300)]


class Band(BaseModel):
    """A named range of totals, from `low` up to the next band."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Count
    label: Text


class Instrument(BaseModel):
    """A rating scale, as ``instruments.toml`` has it."""

    # hide_input_in_errors: pydantic's messages would quote the file.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Its name in fields and outcomes. No underscores: they separate it from what follows.
    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")]
    name: Text
    measures: Text
    # The category of the field `condition` whose severity it measures, None if of none: the key
    # of published base rates. `measures` is for readers.
    condition: str | None = None
    # Of each item the highest score, in order; every item starts at 0.
    item_highs: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)]
    recall_days: Annotated[int, Field(ge=1, le=400)]
    source: Text
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
            "loinc_items must be one per item": len(self.loinc_items) in (0, len(self.item_highs)),
        }
        if broken := [rule for rule, holds in kept.items() if not holds]:
            raise ValueError("; ".join(broken))
        return self

    @property
    def item_fields(self) -> tuple[str, ...]:
        """Field names of the items, in order."""
        return tuple(f"{self.key}_{number}" for number in range(1, len(self.item_highs) + 1))

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
        return sum(max(self.item_highs[item] for item in unit) for unit in self.scoring)

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


def read_instruments(path: Path) -> tuple[Instrument, ...]:
    """Read a file of instruments, each checked by itself; `DictionaryError` lists all problems."""
    problems, instruments = [], []
    for key, entry in read_toml(path, "a file of instruments", DictionaryError).items():
        facts = entry if isinstance(entry, dict) else {}
        try:
            instruments.append(Instrument.model_validate({**facts, "key": key}))
        except ValidationError as error:
            problems += list_problems(error, key)
    if problems:
        raise DictionaryError(problems, path.name)
    return tuple(instruments)
