"""What an instrument is: a rating scale's items, range, bands, recall window and cut-offs."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.base.arrays import Flags, Numbers
from features.base.errors import DictionaryError, Problem, list_problems
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
    """A rating scale, as ``instruments.toml`` has it.

    Parameters
    ----------
    key
        Its name in fields and outcomes. Without underscores, which separate it from what follows.
    measures
        What it measures, in words.
    condition
        The category of the field `condition` whose severity it measures, which is the key of
        published base rates; None if it measures none.
    item_highs
        Highest score of each item, in order; every item starts at 0.
    domains
        Items (counted from 1) of which only the highest counts; all others count alone.
    bands
        From the lowest total upwards.
    recall_days
        Days that the scale asks about.
    shortest_recall_days
        The same for its shortest validated form, e.g. the 24-hour MADRS.
    response_percent
        Fall from baseline, in per cent, that counts as response.
    remission_at_most
        Highest total in remission; None if no total defines it.
    missing_items_allowed
        Items that may be missing when a total is pro-rated from the rest.
    """

    # hide_input_in_errors: pydantic's messages would quote the file.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")]
    name: Text
    measures: Text
    condition: str | None = None
    item_highs: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)]
    recall_days: Annotated[int, Field(ge=1, le=400)]
    source: Text
    domains: tuple[tuple[Annotated[int, Field(ge=1)], ...], ...] = ()
    bands: tuple[Band, ...] = ()
    shortest_recall_days: Annotated[int, Field(ge=1)] | None = None
    response_percent: Annotated[int, Field(ge=1, le=100)] = 50
    remission_at_most: Count | None = None
    missing_items_allowed: Count = 0
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
        """Item positions (from 0) of each scored unit; a unit scores its highest item.

        Examples
        --------
        >>> from features.dictionary.dictionary import load_dictionary
        >>> known = load_dictionary().instruments
        >>> len(known["qids"].scoring), len(known["phq9"].scoring)
        (9, 9)
        """
        units = [tuple(item - 1 for item in domain) for domain in self.domains]
        shared = {item for unit in units for item in unit}
        units += [(item,) for item in range(len(self.item_highs)) if item not in shared]
        return tuple(sorted(units))

    @property
    def high(self) -> int:
        """Highest total.

        Examples
        --------
        >>> from features.dictionary.dictionary import load_dictionary
        >>> known = load_dictionary().instruments
        >>> {key: known[key].high for key in ("phq9", "hamd17", "qids")}
        {'phq9': 27, 'hamd17': 52, 'qids': 27}
        """
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
        """Name the band of a total; None if it has no bands.

        Examples
        --------
        >>> from features.dictionary.dictionary import load_dictionary
        >>> load_dictionary().instruments["phq9"].name_band(17)
        'moderately severe'
        """
        below = [band.label for band in self.bands if band.low <= total]
        return below[-1] if below else None

    def has_responded(self, baseline: Numbers, followup: Numbers) -> Flags:
        """Return whether each course responded; integers, so that no rounding decides.

        Examples
        --------
        >>> import numpy as np
        >>> from features.dictionary.dictionary import load_dictionary
        >>> known = load_dictionary().instruments
        >>> known["phq9"].has_responded(np.array([17.0, 17.0]), np.array([8.0, 9.0]))
        array([ True, False])
        >>> known["caps5"].has_responded(np.array([40.0, 40.0]), np.array([28.0, 29.0]))
        array([ True, False])
        """
        return 100 * followup <= (100 - self.response_percent) * baseline

    def is_in_remission(self, followup: Numbers) -> Flags:
        """Return whether each course is in remission.

        Raises
        ------
        ValueError
            If no total of this instrument defines remission.
        """
        if self.remission_at_most is None:
            raise ValueError(f"{self.name} has no remission cut-off")
        return followup <= self.remission_at_most


def read_instruments(path: Path) -> tuple[Instrument, ...]:
    """Read a file of instruments, each checked by itself.

    Raises
    ------
    DictionaryError
        If it is not TOML of that form; lists every problem.
    """
    try:
        return parse_instruments(path.read_text("utf-8"), path.name)
    except OSError:
        problem = Problem("file", "exists", "must be a file of instruments in TOML")
        raise DictionaryError([problem], source=path.name) from None
    except UnicodeDecodeError as error:
        raise DictionaryError([Problem("file", "toml", str(error))], path.name) from None


def parse_instruments(text: str, source: str) -> tuple[Instrument, ...]:
    """Parse instruments from TOML; see :func:`read_instruments`."""
    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DictionaryError([Problem("file", "toml", str(error))], source) from None
    problems, instruments = [], []
    for key, entry in entries.items():
        try:
            facts = entry if isinstance(entry, dict) else {}
            instruments.append(Instrument.model_validate({**facts, "key": key}))
        except ValidationError as error:
            problems += list_problems(error, key)
    if problems:
        raise DictionaryError(problems, source)
    return tuple(instruments)
