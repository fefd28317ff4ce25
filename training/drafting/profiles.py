"""Profiles: what the values of a column look like; they stay in memory, and are never written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.base.arrays import Numbers
from features.sources.cells import encode_distinct, list_texts, simplify_array
from features.sources.dates import find_days
from features.sources.raw_table import RawTable
from features.sources.texts import MISSING_TOKENS, NUMBER_PATTERN

# Rows that are looked at; more would change no suggestion.
MAX_ROWS = 50_000
ISO_DATES = "YYYY-MM-DD"
# The likeliest first; of two that read the same dates, the analyst is asked.
DATE_PATTERNS = (
    *(ISO_DATES, "DD/MM/YYYY", "MM/DD/YYYY", "DD.MM.YYYY", "DD-MM-YYYY", "MM-DD-YYYY"),
    *("YYYY/MM/DD", "DD-MMM-YYYY", "DD MMM YYYY", "YYYYMMDD"),
)
_MIN_DATES = 0.9

# Keys of a mapping that say how a file is written.
Form = dict[str, Any]


@dataclass(frozen=True)
class Profile:
    """One column: how often each of its texts occurs, and what the file says of it."""

    name: str
    rows: int
    # Without missing values.
    counts: Mapping[str, int]
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    decimal: str = "."

    @property
    def filled(self) -> int:
        """Number of rows with a value."""
        return sum(self.counts.values())

    @cached_property
    def numbers(self) -> tuple[Numbers, Numbers]:
        """The numbers among the texts, and how often each occurs."""
        pairs = [(self._read_number(text), count) for text, count in self.counts.items()]
        kept = np.array([pair for pair in pairs if not np.isnan(pair[0])]).reshape(-1, 2)
        return kept[:, 0], kept[:, 1]

    def _read_number(self, text: str) -> float:
        plain = text.strip().replace(",", ".") if self.decimal == "," else text.strip()
        return float(plain) if NUMBER_PATTERN.fullmatch(plain) else np.nan

    def share(self, part: float) -> float:
        """Return a number of rows as a share of those with a value."""
        return float(part) / self.filled if self.filled else 0.0

    def share_of_range(self, low: float, high: float, factor: float = 1.0) -> float:
        """Return the share of values that are numbers from `low` to `high`, once multiplied."""
        values, counts = self.numbers
        inside = (values * factor >= low) & (values * factor <= high)
        return self.share(counts[inside].sum())

    def list_date_patterns(self) -> list[str]:
        """List the patterns that nearly all values follow, if they are dates."""
        texts = list(self.counts)[:1000]
        # Plain numbers are days or years, unless eight digits make a date.
        if not texts or self.share_of_range(-np.inf, 19_000_000) > 1 - _MIN_DATES:
            return []
        array = pa.array(texts, pa.string())
        return [
            pattern
            for pattern in DATE_PATTERNS
            if (~find_days(array, pattern)[1]).mean() >= _MIN_DATES
        ]


@dataclass(frozen=True)
class TableProfile:
    """One export: how it is written, and its columns."""

    path: Path
    form: Form
    rows: int
    columns: Mapping[str, Profile]

    def repeats(self, *names: str) -> bool:
        """Return whether any text of a column occurs in several rows."""
        return any(count > 1 for name in names for count in self.columns[name].counts.values())


def profile_table(table: RawTable, path: Path, form: Form) -> TableProfile:
    """Count the texts of every column of an open table, in its first `MAX_ROWS` rows."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in table.names}
    rows = 0
    for batch in table.batches:
        for name, counter in counts.items():
            counter.update(dict(_count_texts(batch, name)))
        rows += batch.num_rows
        if rows >= MAX_ROWS:
            break
    decimal = str(form.get("decimal", "."))
    columns = {
        name: Profile(
            name,
            rows,
            counter,
            table.descriptions.get(name, ""),
            table.labels.get(name, {}),
            decimal,
        )
        for name, counter in counts.items()
    }
    return TableProfile(path, form, rows, columns)


def _count_texts(batch: pa.RecordBatch, name: str) -> Iterator[tuple[str, int]]:
    if name not in batch.schema.names:  # of a type without a text
        return
    encoded = encode_distinct(simplify_array(batch.column(name)))
    indices = encoded.indices.drop_null().to_numpy(zero_copy_only=False)
    tally = np.bincount(indices, minlength=len(encoded.dictionary)).tolist()
    for text, count in zip(list_texts(encoded.dictionary), tally, strict=True):
        if text is not None and text.strip() not in MISSING_TOKENS:
            yield text.strip(), count
