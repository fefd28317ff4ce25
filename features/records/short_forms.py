"""Short forms: whether the items of a file are those of the instrument that they are named for.

One patient may leave an item blank. An item that no row of a file answers was never asked: the
PHQ-8 is the PHQ-9 without its ninth item, and must not be pro-rated into a PHQ-9.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from features.base.arrays import Flags
from features.base.errors import Problem
from features.dictionary.instrument import Instrument
from features.records.columns import Columns
from features.records.scoring import Scored, Scoring, list_scored

# One row alone may have left an item blank, unless the file has no column for it.
_MIN_ROWS = 2
# More items are named by the first and the last.
_NAMED_ITEMS = 3


@dataclass
class _Answers:
    """What the rows read so far say of one instrument's items."""

    scoring: Scoring
    # Of each scored unit, whether any row answers it.
    answered: Flags
    # Fields of the items that the file has.
    columns: set[str] = field(default_factory=set)
    rows: int = 0
    any_prorated: bool = False
    # Whether any total holds more than the items that are answered.
    any_beyond: bool = False

    @property
    def absent(self) -> list[str]:
        """Fields of the items that no row answers; a unit's items count as answered by any."""
        units = zip(self.scoring.units, self.answered, strict=True)
        items = sorted(item for unit, answered in units if not answered for item in unit)
        return [self.scoring.fields[item] for item in items]

    @property
    def present(self) -> set[str]:
        """Fields of the items that some row answers."""
        return {*self.scoring.fields} - {*self.absent}

    def add(self, columns: Columns, score: Scored, answered: Flags) -> None:
        """Add a batch; ``bool[units, rows]``."""
        key, rows = self.scoring.instrument.key, answered.any(axis=0)
        self.rows += int(rows.sum())
        self.answered |= answered.any(axis=1)
        self.columns |= {name for name in self.scoring.fields if name in columns.values}
        self.any_prorated |= key in columns.prorated
        self.any_beyond |= bool((columns.get_numbers(key) > score.lowest)[rows].any())

    def is_short(self) -> bool:
        """Return whether the items are those of a shorter scale."""
        absent = self.absent
        if not absent or not self.rows:
            return False
        if self.rows < _MIN_ROWS:
            return self.any_prorated and not self.columns.issuperset(absent)
        return self.any_prorated or not self.any_beyond


@dataclass
class ShortForms:
    """Finds short forms in a file that is read in batches."""

    # By the field of the total: a follow-up may be short though the baseline is not.
    answers: dict[str, _Answers] = field(default_factory=dict)

    def add(self, columns: Columns, horizon: str = "") -> None:
        """Add a batch of validated columns, of the baseline or of a horizon."""
        for score in list_scored(columns):
            scoring, key = score.scoring, score.scoring.instrument.key
            answered = scoring.find_answered(columns.stack(scoring.fields))
            blank = _Answers(scoring, np.zeros(len(answered), dtype=bool))
            name = f"{key}_{horizon}" if horizon else key
            self.answers.setdefault(name, blank).add(columns, score, answered)

    def add_followups(self, followups: Mapping[str, Columns]) -> None:
        """Add the items of a batch's follow-ups, by horizon."""
        for horizon, columns in followups.items():
            self.add(columns, horizon)

    def explain_short(self) -> Iterator[Problem]:
        """List the instruments of which some items are in no row."""
        # The items of a complete subscale alone are not a short version of the whole form.
        complete = {
            item
            for answers in self.answers.values()
            if not answers.absent
            for item in answers.scoring.fields
        }
        for key, answers in self.answers.items():
            if answers.is_short() and (answers.any_prorated or not answers.present <= complete):
                yield Problem(key, "items", _explain(answers.scoring.instrument, answers.absent))


def _explain(instrument: Instrument, absent: list[str]) -> str:
    known = ", ".join(instrument.short_forms)
    shorter = f"a shorter scale ({known})" if known else "a shorter scale"
    plural = len(absent) > 1
    return (
        f"{_join_items(absent)} {'are' if plural else 'is'} in no row: this is {shorter}, or not "
        f"all of {instrument.name}; add it as an instrument of its own, or leave its items out"
    )


def _join_items(names: list[str]) -> str:
    if len(names) > _NAMED_ITEMS:
        return f"{names[0]} … {names[-1]} ({len(names)} items)"
    return ", ".join(names)
