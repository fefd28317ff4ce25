"""A clinic's codes: which cells are missing, and which stand for one of our words.

Cells are compared by their text, or as numbers if both are, so that an entry of a mapping matches
however a cell was stored: 99, 99.0 and "99" are the same code.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from features.dictionary.field import Field, Kind
from features.sources.dates import write_iso_date
from features.sources.source_form import SourceForm
from features.sources.texts import DECIMAL_COMMA, MISSING_TOKENS, NUMBER_PATTERN

_ALWAYS_MISSING = frozenset(MISSING_TOKENS)
_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)\.0+")

Key = str | Decimal


def make_key(field: Field, text: str) -> Key:
    """Return what all texts of one code have in common.

    Of an identifier the digits count: 007 is not 7.

    Examples
    --------
    >>> from features.dictionary.dictionary import load_dictionary
    >>> fields = load_dictionary().fields
    >>> make_key(fields["sex"], "1.0") == make_key(fields["sex"], "01")
    True
    >>> make_key(fields["site"], "7.0"), make_key(fields["site"], "007")
    ('7', '007')
    """
    return trim_fraction(text) if field.kind is Kind.TEXT else make_loose_key(text)


def trim_fraction(text: str) -> str:
    """Leave out the `.0` that pandas writes after whole numbers if their column has a gap."""
    whole = _WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text


def make_loose_key(text: str) -> Key:
    """Return a code's number if it is one, else its text."""
    plain = text.strip()
    if NUMBER_PATTERN.fullmatch(plain):
        return Decimal(plain)
    # Python writes True, Arrow true, R TRUE.
    return plain.lower() if plain.lower() in ("true", "false") else text


def point_decimal(text: str) -> str:
    """Write a number that has a decimal comma with a point; other texts stay as they are.

    A number with a point becomes a text that is not a number, since its point may separate
    thousands.
    """
    if NUMBER_PATTERN.fullmatch(text.strip()):
        return text.replace(".", ",")
    return DECIMAL_COMMA.sub(r"\1.\2", text) if DECIMAL_COMMA.fullmatch(text) else text


@dataclass(frozen=True)
class Codes:
    """The codes of one field; those for missing win over words."""

    field: Field
    # In addition to `MISSING_TOKENS`.
    missing: frozenset[Key]
    words: Mapping[Key, str]
    decimal_comma: bool = False
    # Of texts, in addition to ISO 8601.
    dates: str | None = None

    def list_missing_numbers(self) -> list[float]:
        """List the numbers that stand for a missing value."""
        return [float(key) for key in self.missing if isinstance(key, Decimal)]

    def write_usual(self, texts: Sequence[str | None]) -> Sequence[str | None]:
        """Write numbers with decimal points and dates as ISO has them, if the mapping says so."""
        if self.decimal_comma and self.field.numeric:
            return [None if text is None else point_decimal(text) for text in texts]
        if self.dates and self.field.kind is Kind.DATE:
            return [None if text is None else write_iso_date(text, self.dates) for text in texts]
        return texts

    def translate(self, texts: Iterable[str | None]) -> Sequence[str | None]:
        """Replace codes by our words, and by None if they stand for a missing value."""
        kept = [None if text in _ALWAYS_MISSING else text for text in texts]
        # Fast path of the lines below: most fields have no codes of their own.
        if not self.missing and not self.words:
            return kept
        return [None if text is None else self._translate_one(text) for text in kept]

    def _translate_one(self, text: str) -> str | None:
        key = make_key(self.field, text)
        return None if key in self.missing else self.words.get(key, text)


def make_codes(
    field: Field, missing: Iterable[str], words: Mapping[str, str], form: SourceForm
) -> Codes:
    """Make a field's codes from a mapping's entries, which are written as the file is."""
    plain = Codes(field, frozenset(), {}, form.decimal == ",", form.dates)

    def make(text: str) -> Key:
        numeric = plain.decimal_comma and field.numeric and DECIMAL_COMMA.fullmatch(text)
        if field.kind is Kind.DATE and form.dates:
            text = write_iso_date(text, form.dates)
        return make_key(field, text.replace(",", ".") if numeric else text)

    keys = frozenset(map(make, missing))
    return replace(
        plain, missing=keys, words={make(theirs): ours for theirs, ours in words.items()}
    )


def fold_word(text: str) -> Key:
    """Return what spellings of a word have in common: numbers, spaces and capitals aside."""
    key = make_loose_key(" ".join(text.split()))
    return key.casefold() if isinstance(key, str) else key


def fold_letters(text: str) -> str:
    """Return the letters and digits of a word, lower case."""
    return "".join(filter(str.isalnum, text)).casefold()
