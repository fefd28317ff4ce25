"""Profiles: what the values of a column look like; they stay in memory, and are never written."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute

from features.base.arrays import Numbers
from features.intake.days import read_decimal
from features.sources.cells import encode_distinct, list_texts, simplify_array
from features.sources.dates import find_days
from features.sources.raw_table import RawTable
from features.sources.texts import MISSING_TOKENS

# Rows that are looked at; more would change no suggestion.
MAX_ROWS = 50_000
ISO_DATES = "YYYY-MM-DD"
# The likeliest first: if several read the same dates, it is suggested.
DATE_PATTERNS = (
    *(ISO_DATES, "DD/MM/YYYY", "MM/DD/YYYY", "DD.MM.YYYY", "DD-MM-YYYY", "MM-DD-YYYY"),
    *("YYYY/MM/DD", "DD-MMM-YYYY", "DD MMM YYYY", "YYYYMMDD"),
)
_MIN_DATES = 0.9
# As many as a text field holds.
_MAX_CODE_LETTERS = 64
# REDCap's column that names a repeating instrument.
REPEATS = "redcap_repeat_instrument"
_BLOCK = re.compile(r" ?[(\[]\d+[)\]]$")

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
    # The part of the name that tells a block of columns from others: `` (2)`` of ``PHQ-9 (2)``.
    ending: str = ""

    @property
    def label(self) -> str:
        """The name without its ending."""
        return self.name.removesuffix(self.ending)

    @property
    def filled(self) -> int:
        """Number of rows with a value."""
        return sum(self.counts.values())

    @cached_property
    def numbers(self) -> tuple[Numbers, Numbers]:
        """The numbers among the texts, and how often each occurs."""
        pairs = [(read_decimal(text, self.decimal), count) for text, count in self.counts.items()]
        kept = np.array([pair for pair in pairs if not np.isnan(pair[0])]).reshape(-1, 2)
        return kept[:, 0], kept[:, 1]

    def share(self, part: float) -> float:
        """Return a number of rows as a share of those with a value."""
        return float(part) / self.filled if self.filled else 0.0

    def share_texts(self, test: Callable[[str], bool]) -> float:
        """Return the share of values whose texts pass a test."""
        return self.share(sum(count for text, count in self.counts.items() if test(text)))

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


def is_code(text: str) -> bool:
    """Return whether a text may be an opaque code: it is not words, nor an address."""
    return len(text) <= _MAX_CODE_LETTERS and " " not in text and "@" not in text


@dataclass(frozen=True)
class TableProfile:
    """One table: how its file is written, and its columns.

    Parameters
    ----------
    where
        Which rows of the file belong to it: the text that they have, by column.
    is_part
        Whether the file's other columns or rows belong to other tables.
    """

    path: Path
    form: Form
    rows: int
    columns: Mapping[str, Profile]
    where: Mapping[str, str] = field(default_factory=dict)
    is_part: bool = False

    @property
    def name(self) -> str:
        """The file's name without its ending, and what tells its tables apart."""
        ending = next((column.ending for column in self.columns.values()), "")
        stem = self.path.name.partition(".")[0]
        return " ".join([stem, *self.where.values(), ending])

    def keep(self, names: Iterable[str], **changes: Any) -> "TableProfile":
        """Return a copy with some columns only."""
        kept = {name: self.columns[name] for name in names}
        return replace(self, columns=kept, **changes)


def profile_table(table: RawTable, path: Path, form: Form) -> list[TableProfile]:
    """Count the texts of every column of an open table, in its first `MAX_ROWS` rows.

    The rows of REDCap's repeating instruments are tables of their own.
    """
    counts: dict[str, dict[str, Counter[str]]] = {}
    sizes: Counter[str] = Counter()
    for batch in _limit_rows(table.batches):
        for part, rows in _split_repeats(batch):
            sizes[part] += rows.num_rows
            columns = counts.setdefault(part, {name: Counter() for name in table.names})
            for name, counter in columns.items():
                counter.update(dict(_count_texts(rows, name)))
    decimal = str(form.get("decimal", "."))
    counts = counts or {"": {name: Counter() for name in table.names}}
    profiles = []
    for part, columns in counts.items():
        made = {
            name: Profile(
                name,
                sizes[part],
                counter,
                table.descriptions.get(name, ""),
                table.labels.get(name, {}),
                decimal,
            )
            for name, counter in columns.items()
        }
        profile = TableProfile(path, form, sizes[part], made)
        if len(counts) > 1:
            filled = [name for name, column in made.items() if column.filled and name != REPEATS]
            profile = profile.keep(filled, where={REPEATS: part}, is_part=True)
        profiles.append(profile)
    return profiles


def profile_items(table: RawTable, item: str, value: str, like: Profile) -> dict[str, Profile]:
    """Count the values of each item of a long table, as columns of their own."""
    counts: dict[str, Counter[str]] = {}
    for batch in _limit_rows(table.batches):
        names = batch.column(item).cast(pa.string())
        for name in names.drop_null().unique().to_pylist():
            rows = batch.filter(compute.equal(names, name))
            counts.setdefault(name.strip(), Counter()).update(dict(_count_texts(rows, value)))
    return {
        name: replace(like, name=name, rows=counter.total(), counts=counter)
        for name, counter in counts.items()
    }


def _limit_rows(batches: Iterator[Any]) -> Iterator[Any]:
    rows = 0
    for batch in batches:
        yield batch
        rows += batch.num_rows
        if rows >= MAX_ROWS:
            return


def _split_repeats(batch: Any) -> Iterator[tuple[str, Any]]:
    if REPEATS not in batch.schema.names:
        yield "", batch
        return
    names = batch.column(REPEATS).cast(pa.string()).fill_null("")
    for name in names.unique().to_pylist():
        yield name, batch.filter(compute.equal(names, name))


def split_blocks(table: TableProfile) -> list[TableProfile]:
    """Split a table with a block of columns for each visit, such as ``Date (1), PHQ-9 (1)``.

    Returns
    -------
    list of TableProfile
        The columns that are in no block, then one table for each block of at least two columns.
    """
    blocks: dict[str, list[str]] = {}
    for name in table.columns:
        if match := _BLOCK.search(name):
            blocks.setdefault(match[0], []).append(name)
    blocks = {ending: names for ending, names in blocks.items() if len(names) > 1}
    if len(blocks) < 2:
        return [table]
    inside = {name for names in blocks.values() for name in names}
    rest = [name for name in table.columns if name not in inside]
    parts = [table.keep(rest, is_part=True)]
    for ending, names in blocks.items():
        columns = {name: replace(table.columns[name], ending=ending) for name in names}
        parts.append(replace(table, columns=columns, is_part=True))
    return parts


def _count_texts(batch: Any, name: str) -> Iterator[tuple[str, int]]:
    # Columns whose type has no text are not in a batch; several may have no name.
    places = batch.schema.get_all_field_indices(name)
    if not places:
        return
    encoded = encode_distinct(simplify_array(batch.column(places[0])))
    indices = encoded.indices.drop_null().to_numpy(zero_copy_only=False)
    tally = np.bincount(indices, minlength=len(encoded.dictionary)).tolist()
    for text, count in zip(list_texts(encoded.dictionary), tally, strict=True):
        if count and text is not None and text.strip() not in MISSING_TOKENS:
            yield text.strip(), count
