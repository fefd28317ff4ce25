"""Shapes: what a row of a table is, and which columns say whose, when and what it records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from features.dictionary.dictionary import Dictionary
from training.drafting.columns import MIN_CONFIDENCE, rate
from training.drafting.profiles import Profile, TableProfile, is_code
from training.drafting.vocabulary import (
    compare_names,
    list_role_names,
    read_score_name,
    read_slot,
    read_vocabulary,
    recognise_instrument,
)

# A part needs this similarity to a name in the vocabulary, or this share of values that fit.
_MIN_NAME = _MIN_SHARE = 0.5
_SURE_NAME = 0.8
_MOST = 0.9
_YEARS = (1900, 2100)


@dataclass(frozen=True)
class Part:
    """The part that a column has in its table, and how sure that is."""

    column: str
    confidence: float
    reason: str


@dataclass(frozen=True)
class Shape:
    """What a row is (``patient``, ``course``, ``visit`` or ``dose``), and the columns' parts."""

    row: str
    parts: Mapping[str, Part] = field(default_factory=dict)

    def get_column(self, part: str) -> str | None:
        """Return the column of a part; None if no column has it."""
        return self.parts[part].column if part in self.parts else None


def find_shape(table: TableProfile, dictionary: Dictionary) -> Shape:
    """Find what a row of a table is."""
    parts: dict[str, Part] = {}
    for name, part in _seek_parts(table, dictionary, parts):
        if part is not None and part.confidence >= MIN_CONFIDENCE:
            parts[name] = part
    scores = [read_score_name(c.label, dictionary) for c in table.columns.values()]
    # Columns of several visits side by side are one row per course.
    is_wide = any(score is not None and score.slot is not None for score in scores)
    is_block = any(column.ending for column in table.columns.values())
    repeated = is_block or (not is_wide and _repeats_courses(table, parts))
    is_timed = any(name in parts for name in ("visit", "day", "week", "date"))
    if "score" in parts or "value" in parts:
        return Shape("visit", parts)
    parts = {name: part for name, part in parts.items() if name not in ("instrument", "item")}
    if not (repeated and is_timed):
        # One row per patient or course: what would say when is a field like others.
        parts = {k: p for k, p in parts.items() if k not in ("visit", "day", "week", "date")}
        return Shape("course" if "course" in parts else "patient", parts)
    if any(score is not None for score in scores) or "date" not in parts:
        return Shape("visit", parts)
    # A dose has its date alone.
    return Shape("dose", {k: p for k, p in parts.items() if k not in ("visit", "day", "week")})


def _repeats_courses(table: TableProfile, parts: Mapping[str, Part]) -> bool:
    """Return whether a patient's course has several rows."""
    if "patient" not in parts:
        return False
    counts = table.columns[parts["patient"].column].counts
    if "course" not in parts:
        return any(count > 1 for count in counts.values())
    # Every patient has a first course: with one row for each, there are as many rows of it.
    firsts = table.columns[parts["course"].column].counts
    return sum(firsts.get(text, 0) for text in ("1", "1.0")) > len(counts)


def _seek_parts(
    table: TableProfile, dictionary: Dictionary, taken: Mapping[str, Part]
) -> Iterator[tuple[str, Part | None]]:
    # Each part is sought among the columns that have no part yet, so the order matters.
    roles, fields = dict(list_role_names()), read_vocabulary()["fields"]

    def seek(
        names: Sequence[str],
        fit: Callable[[Profile], float],
        what: str,
        least: float = _MIN_NAME,
    ) -> Part | None:
        free = {*table.columns} - {part.column for part in taken.values()}
        best = None
        for name in (name for name in table.columns if name in free):
            profile = table.columns[name]
            similarity, share = compare_names(profile.label, names), fit(profile)
            confidence = rate(similarity, share) if similarity >= least else 0.0
            if best is None or confidence > best.confidence:
                reason = f"named like {names[0]}; {share:.0%} of values are {what}"
                best = Part(name, confidence, reason)
        return best

    patient = seek(["patient id", *fields["patient_id"]], _share_codes, "codes")
    guessed = None if table.is_part else _guess_patient(table)
    yield "patient", patient if patient and patient.confidence else guessed
    # A course number in some rows only, as of REDCap's first event, is a field like others.
    yield "course", seek(["course", *fields["course"]], _share_numbered, "small numbers")
    yield "birth_date", seek(roles["birth_date"], _share_dates, "dates")
    yield "birth_year", seek(roles["birth_year"], _share_years, "years")
    yield "first_dose", seek(roles["first_dose"], _share_dates, "dates", _SURE_NAME)
    yield (
        "instrument",
        _seek_words(
            table,
            taken,
            lambda text: recognise_instrument(text, dictionary) is not None,
            "instruments",
        ),
    )
    yield "item", _seek_words(table, taken, lambda text: _is_item(text, dictionary), "items")
    if "item" not in taken and "instrument" in taken:
        yield "item", seek(roles["item"], _share_small, "small numbers")
    yield "visit", _seek_visit(table, taken, roles["visit"])
    # "Weeks" may as well be those planned: only names that are surely these.
    yield "day", seek(roles["day"], _share_numbers, "numbers", _SURE_NAME)
    yield "week", seek(roles["week"], _share_numbers, "numbers", _SURE_NAME)
    date = seek(roles["date"], _share_dates, "dates", _SURE_NAME)
    yield "date", date if date and date.confidence else _find_only_date(table, taken)
    if "item" in taken:
        yield "value", seek([*roles["value"], *roles["score"]], _share_any, "filled")
    elif "instrument" in taken:
        yield "score", seek([*roles["score"], *roles["value"]], _share_numbers, "numbers")
    yield "height", seek(roles["height"], _share_numbers, "numbers")
    yield "weight", seek(roles["weight"], _share_numbers, "numbers")


def _find_only_date(table: TableProfile, taken: Mapping[str, Part]) -> Part | None:
    used = {part.column for part in taken.values()}
    dated = [name for name in table.columns if name not in used]
    dated = [name for name in dated if _share_dates(table.columns[name])]
    # A date that few rows have is not the rows' own.
    dated = [name for name in dated if table.columns[name].filled >= _MOST * table.rows]
    return Part(dated[0], MIN_CONFIDENCE, "the only dates") if len(dated) == 1 else None


def _guess_patient(table: TableProfile) -> Part | None:
    # Many exports begin with the patient's code, whatever they call it.
    first = next(iter(table.columns.values()), None)
    if first is None or first.filled < table.rows or _share_codes(first) < 1:
        return None
    return Part(first.name, MIN_CONFIDENCE, "the first column, filled in every row")


def _seek_words(
    table: TableProfile, taken: Mapping[str, Part], test: Callable[[str], bool], what: str
) -> Part | None:
    best = None
    for name, profile in table.columns.items():
        if name not in {part.column for part in taken.values()}:
            share = profile.share_texts(test)
            if share >= _MIN_SHARE and (best is None or share > best.confidence):
                best = Part(name, share, f"{share:.0%} of values are {what}")
    return best


def _seek_visit(
    table: TableProfile, taken: Mapping[str, Part], names: Sequence[str]
) -> Part | None:
    by_words = _seek_words(table, taken, lambda text: read_slot(text) is not None, "times")
    if by_words is not None:
        return by_words
    similarity = {name: compare_names(name, names) for name in table.columns}
    best = max(similarity, key=lambda name: similarity[name], default=None)
    if best is None or similarity[best] < _SURE_NAME or _share_dates(table.columns[best]):
        return None
    return Part(best, similarity[best], "named like visit")


def _is_item(text: str, dictionary: Dictionary) -> bool:
    reading = read_score_name(text, dictionary)
    return reading is not None and reading.item is not None


def _share_codes(profile: Profile) -> float:
    return profile.share_texts(is_code)


def _share_small(profile: Profile) -> float:
    return profile.share_of_range(1, 100)


def _share_numbered(profile: Profile) -> float:
    return _share_small(profile) if profile.filled >= _MOST * profile.rows else -1.0


def _share_numbers(profile: Profile) -> float:
    return profile.share_of_range(float("-inf"), float("inf"))


def _share_years(profile: Profile) -> float:
    return profile.share_of_range(*_YEARS)


def _share_dates(profile: Profile) -> float:
    return float(bool(profile.list_date_patterns()))


def _share_any(profile: Profile) -> float:
    return float(profile.filled > 0)
