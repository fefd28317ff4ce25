"""Cells: a column's texts, stored as each row's position among the distinct ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices, Numbers
from features.intake.codes import make_loose_key
from features.sources.cells import encode_distinct, list_texts, simplify_array
from features.sources.texts import MISSING_TOKENS

_BLANK = -1
_MISSING = frozenset(MISSING_TOKENS)


@dataclass(frozen=True)
class Cells:
    """One column; a million rows have few distinct texts."""

    # `int32[rows]`, -1 if blank.
    codes: NDArray[np.int32]
    texts: Sequence[str]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def present(self) -> Flags:
        """Rows that are not blank, ``bool[rows]``."""
        filled: Flags = self.codes != _BLANK
        return filled

    def take(self, rows: Indices) -> "Cells":
        """Return the cells of some rows, blank where the position is -1."""
        if not self.size:
            return Cells(np.full(len(rows), _BLANK, dtype=np.int32), self.texts)
        return Cells(np.where(rows < 0, np.int32(_BLANK), self.codes[rows]), self.texts)

    def keep(self, rows: Flags) -> "Cells":
        """Return a copy that is blank in the other rows."""
        return Cells(np.where(rows, self.codes, np.int32(_BLANK)), self.texts)

    def map_numbers(self, read: Callable[[str], float]) -> Numbers:
        """Read each distinct text as a number; NaN if blank."""
        numbers = np.array([*map(read, self.texts), np.nan])
        mapped: Numbers = numbers[self.codes]
        return mapped

    def recode(self, translate: Callable[[str], str | None]) -> "Cells":
        """Translate each distinct text; those that become equal are one, None is blank."""
        known: dict[str, int] = {}
        numbers = []
        for text in self.texts:
            ours = translate(text)
            numbers.append(_BLANK if ours is None else known.setdefault(ours, len(known)))
        codes = np.array([*numbers, _BLANK], dtype=np.int32)[self.codes]
        return Cells(codes, list(known))

    def without(self, missing: Iterable[str]) -> "Cells":
        """Return a copy in which a clinic's own codes for a missing value are blank."""
        keys = {make_loose_key(text) for text in missing}
        return self.recode(lambda text: None if make_loose_key(text) in keys else text)

    def to_arrow(self) -> Any:
        """Return the texts as an Arrow array, null where blank."""
        codes = pa.array(self.codes, mask=~self.present)
        return pa.array(self.texts, pa.string()).take(codes)


def read_cells(parts: Sequence[Any]) -> Cells:
    """Read a column's Arrow arrays, one or more per file, whatever their types."""
    known: dict[str, int] = {}
    codes: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    for part in parts:
        array = simplify_array(part)
        if pa.types.is_null(array.type):
            codes.append(np.full(len(array), _BLANK, dtype=np.int32))
            continue
        encoded = encode_distinct(array)
        numbers = [
            _BLANK
            if text is None or text.strip() in _MISSING
            else known.setdefault(text, len(known))
            for text in list_texts(encoded.dictionary)
        ]
        # Arrow gives null no code, so it becomes the last one.
        indices = encoded.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
        codes.append(np.array([*numbers, _BLANK], dtype=np.int32)[indices])
    return Cells(np.concatenate(codes), list(known))


def blank_cells(size: int) -> Cells:
    """Return a column without any value."""
    return Cells(np.full(size, _BLANK, dtype=np.int32), ())


def coalesce_cells(columns: Sequence[Cells]) -> Cells:
    """Return of each row the first cell that is not blank."""
    codes, texts = columns[-1].codes, list(columns[-1].texts)
    for column in reversed(columns[:-1]):
        codes = np.where(column.present, column.codes + np.int32(len(texts)), codes)
        texts += column.texts
    return Cells(codes, texts)


def concatenate_cells(columns: Sequence[Cells]) -> Cells:
    """Stack columns; equal texts get one code."""
    texts: dict[str, int] = {}
    codes = []
    for column in columns:
        numbers = [texts.setdefault(text, len(texts)) for text in column.texts]
        codes.append(np.array([*numbers, _BLANK], dtype=np.int32)[column.codes])
    return Cells(np.concatenate(codes), list(texts))
