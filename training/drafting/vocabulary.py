"""The words that exports use in names, and how column names are read with them."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Group
from features.dictionary.horizon import DAYS_PER_MONTH, HORIZONS
from features.intake.plan import BASELINE, IGNORED

# Parts of a table from which fields are derived.
SOURCES = ("birth_date", "birth_year", "first_dose", "height", "weight")
_SURE = 0.8
_DAYS = {"day": 1.0, "week": 7.0, "month": DAYS_PER_MONTH}
# Similarity is measured by shared words, or else by shared letters; below this it is 0.
_MIN_SIMILARITY = 0.5
_SHARED_WORDS, _SHARED_LETTERS, _MIN_LETTERS = 0.85, 0.75, 0.8
# Words such as "patient" in "Patient Age" distinguish little.
_TELLING = 0.95

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_PIECE = re.compile(r"[a-z]+|[0-9]+")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@lru_cache(maxsize=1)
def read_vocabulary() -> Mapping[str, Any]:
    """Read the words; a list of names or words for each key of a section."""
    return tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text("utf-8"))


@lru_cache(maxsize=4096)
def split_name(text: str) -> tuple[str, ...]:
    """Split a name into words and numbers.

    Examples
    --------
    >>> split_name("PHQ9_W6 Größe")
    ('phq', '9', 'w', '6', 'groesse')
    """
    return tuple(_PIECE.findall(_CAPITAL.sub(" ", text).lower().translate(_UMLAUTS)))


def join_words(text: str) -> str:
    """Write a name as in the vocabulary: ``"Date-of-Birth"`` is ``"date of birth"``."""
    return " ".join(split_name(text))


class NameReading(NamedTuple):
    """What a column's name says about a rating scale."""

    instrument: str
    # Number of the item; None if it is a total.
    item: int | None
    # ``baseline``, a horizon, or None if the name has no time.
    slot: str | None
    # Whether every word of the name was understood.
    is_whole: bool


def read_score_name(name: str, dictionary: Dictionary) -> NameReading | None:
    """Read a column's name as a total or an item; None if it names no instrument's score.

    Examples
    --------
    >>> from features.dictionary.dictionary import load_dictionary
    >>> read_score_name("PHQ-9 Q3 (week 6)", load_dictionary())
    NameReading(instrument='phq9', item=3, slot='acute', is_whole=True)
    """
    words = list(split_name(name))
    named = _find_instrument(words, dictionary)
    if named is None:
        return None
    key, rest = named
    slot, rest = _take_slot(rest)
    names = read_vocabulary()["names"]
    if {*rest} & {*names["other"]}:
        return None
    numbers = [int(word) for word in rest if word.isdigit()]
    items = dictionary.instruments[key].numbered_items
    if len(numbers) > 1 or (numbers and numbers[0] not in items):
        return None
    is_whole = {word for word in rest if not word.isdigit()} <= {*names["filler"]}
    return NameReading(key, numbers[0] if numbers else None, slot, is_whole)


@lru_cache(maxsize=8)
def _list_aliases(dictionary: Dictionary) -> Mapping[str, str]:
    # Without gaps: "phq 9" and "phq9" are the same; an instrument's own name comes first.
    known = read_vocabulary()["instruments"]
    aliases: dict[str, str] = {}
    for key, instrument in dictionary.instruments.items():
        for text in (key, instrument.name, *known.get(key, ())):
            aliases.setdefault("".join(split_name(text)), key)
    return aliases


def recognise_instrument(text: str, dictionary: Dictionary) -> str | None:
    """Return the instrument that a text names, apart from words that add nothing."""
    named = _find_instrument(list(split_name(text)), dictionary)
    if named is None or {*named[1]} - {*read_vocabulary()["names"]["filler"]}:
        return None
    return named[0]


def _find_instrument(words: list[str], dictionary: Dictionary) -> tuple[str, list[str]] | None:
    aliases = _list_aliases(dictionary)
    spans = [(start, end) for end in range(1, len(words) + 1) for start in range(end)]
    # The longest wins: "bdi ii" is not the BDI.
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        if (key := aliases.get("".join(words[start:end]))) is not None:
            return key, words[:start] + words[end:]
    return None


def read_slot(text: str) -> str | None:
    """Return the time that a visit's name states: ``baseline``, a horizon, ``ignore`` or None.

    Examples
    --------
    >>> read_slot("baseline_arm_1"), read_slot("Week 12"), read_slot("Unscheduled"), read_slot("A")
    ('baseline', 'week12', 'ignore', None)
    """
    if join_words(text) in read_vocabulary()["times"]["ignored"]:
        return IGNORED
    return _take_slot(list(split_name(text)))[0]


def _take_slot(words: list[str]) -> tuple[str | None, list[str]]:
    # Also returns the remaining words.
    for read, width in (
        (_read_time, 2),
        (_read_reversed_time, 2),
        (_read_word, 2),
        (_read_word, 1),
    ):
        for start in range(len(words) - width + 1):
            if (slot := read(words[start : start + width])) is not None:
                return slot, words[:start] + words[start + width :]
    return None, words


def _read_time(words: list[str]) -> str | None:
    unit, number = words
    times = read_vocabulary()["times"]
    days = (days for name, days in _DAYS.items() if unit in times[name])
    return find_slot(int(number) * next(days, np.nan)) if number.isdigit() else None


def _read_reversed_time(words: list[str]) -> str | None:
    # "6 weeks"; after "week 6", since in "Q3 week 6" the 3 is an item.
    return _read_time(words[::-1])


def _read_word(words: list[str]) -> str | None:
    word = "".join(words)
    if word in read_vocabulary()["times"]["baseline"]:
        return BASELINE
    return word if word in HORIZONS else None


def find_slot(day: float) -> str | None:
    """Return the slot of a day after the first dose; ``ignore`` if no horizon contains it.

    None if it is NaN. Of two horizons that overlap, the earlier.
    """
    if np.isnan(day):
        return None
    if day <= 0:
        return BASELINE
    inside = (key for key, h in HORIZONS.items() if h.earliest_days <= day <= h.latest_days)
    return next(inside, IGNORED)


def compare_names(name: str, others: Sequence[str]) -> float:
    """Return how similar a name is to the most similar of others, from 0 to 1.

    1 if they have the same words, slightly less if only common words differ; otherwise by the
    words that they share, or else by the letters.
    """
    words, common = split_name(name), {*read_vocabulary()["names"]["common"]}
    telling = tuple(word for word in words if word not in common)
    known = [split_name(other) for other in others]
    best = max((_compare_words(words, other) for other in known), default=0.0)
    return max([best, *(_TELLING * _compare_words(telling, other) for other in known)])


@lru_cache(maxsize=1 << 16)
def _compare_words(words: tuple[str, ...], others: tuple[str, ...]) -> float:
    if not words or not others:
        return 0.0
    if "".join(words) == "".join(others):
        return 1.0
    shared = len({*words} & {*others}) / len({*words} | {*others})
    if shared >= _MIN_SIMILARITY:
        return _SHARED_WORDS * shared
    letters = SequenceMatcher(None, "".join(words), "".join(others)).ratio()
    return _SHARED_LETTERS * letters if letters >= _MIN_LETTERS else 0.0


def list_field_names(dictionary: Dictionary) -> Iterator[tuple[str, list[str]]]:
    """List the fields of an assessment that are not scores, with their possible names."""
    known = read_vocabulary()["fields"]
    for name, field in dictionary.fields.items():
        if field.group not in (Group.SCORE, Group.ITEM, Group.FOLLOWUP):
            yield name, [name, field.label, *known.get(name, ())]


def list_role_names() -> Iterator[tuple[str, list[str]]]:
    """List the parts that a column may have in a table, with their possible names."""
    for role, names in read_vocabulary()["roles"].items():
        yield role, [role, *names]


def translate_word(text: str, field: str, categories: Sequence[str]) -> str | None:
    """Return our word for one of theirs; None if the vocabulary has none."""
    word = join_words(text)
    for category in categories:
        if word == join_words(category) or word in _list_words(field).get(category, ()):
            return category
    return None


def _list_words(field: str) -> Mapping[str, Sequence[str]]:
    words: Mapping[str, Sequence[str]] = read_vocabulary()["words"].get(field, {})
    return words


def translate_answers(texts: Iterable[str]) -> dict[str, str]:
    """Return the scores of an instrument's answers in words; none if they are not all of one set.

    Examples
    --------
    >>> translate_answers(["Several days", "Not at all"])
    {'Several days': '1', 'Not at all': '0'}
    """
    words = {text: join_words(text) for text in texts}
    for known in (entry["words"] for entry in read_vocabulary()["answers"]):
        if words and {*words.values()} <= {*known}:
            return {text: str(known.index(word)) for text, word in words.items()}
    return {}


def name_field_like(text: str, dictionary: Dictionary) -> str | None:
    """Return the field, or the source of one, that a word names with near certainty."""
    for role, names in list_role_names():
        if role in SOURCES and compare_names(text, names) == 1:
            return role
    similarity = {name: compare_names(text, names) for name, names in list_field_names(dictionary)}
    best = max(similarity, key=lambda name: similarity[name])
    return best if similarity[best] >= _SURE else None
