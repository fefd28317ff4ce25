"""Suggestions: which field a column may be, how sure that is, and what to ask the analyst.

The confidence combines the similarity of names and the fit of values: see :func:`rate`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from features.dictionary.column_names import names_person
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field, Kind
from features.dictionary.instrument import Instrument
from features.intake.plan import BASELINE, IGNORED
from features.records.mapping import UNITS
from features.records.parsing import TEXT_READERS, parse_values
from training.drafting.profiles import Profile, TableProfile, is_code
from training.drafting.vocabulary import (
    NameReading,
    compare_names,
    list_field_names,
    read_score_name,
    split_name,
    translate_answers,
    translate_word,
)

IDENTIFIER = "looks like a direct identifier"
# Below it, a suggestion is only mentioned.
MIN_CONFIDENCE = 0.5
# Words of a column are written into a draft if so many rows have them, or if the vocabulary does:
# rarer ones could reveal something about a single patient.
MIN_WORD_ROWS = 5
MAX_WORD_LETTERS = 40
_NAME_ALONE, _DESCRIPTION, _PARTLY_READ = 0.4, 0.9, 0.7
# A column with this few codes may be a category or flag even if no code is a known word.
_MAX_CODES, _CODES_FIT = 12, 0.25
_UNKNOWN = "Is it needed? If not, it stays ignored."
# The shape of the table determines the patient's column.
_PATIENT = "patient_id"
_OTHER_CODE = "Do several records share it, as a patient's own code? Then rename it to patient_id."


@dataclass(frozen=True)
class Suggestion:
    """What one column may be."""

    column: str
    # Our field; None if it resembles none.
    target: str | None
    confidence: float
    reason: str
    question: str
    unit: str | None = None
    # Their word: our word; and how many further words are not shown.
    words: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    hidden: int = 0
    # Of items: those of one instrument at one time are drafted together.
    group: str = ""

    @property
    def is_firm(self) -> bool:
        """Whether it is confident enough to be drafted."""
        return self.target is not None and self.confidence >= MIN_CONFIDENCE

    def give_way(self, rival: str) -> "Suggestion":
        """Leave the field to another column that may be it, too."""
        reason = f"may be {self.target}, but so may {rival}"
        return replace(self, target=None, reason=reason, question="Which of the two is it?")

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON, without any word of a value."""
        return {
            "column": self.column,
            "field": self.target,
            "confidence": round(self.confidence, 2),
            "reason": self.reason,
            "question": self.question,
        }


def rate(name: float, fit: float) -> float:
    """Return a confidence: 40% of it rests on the name alone, the rest also on values that fit.

    Parameters
    ----------
    name
        Similarity of names, from 0 to 1.
    fit
        Share of values that the field allows.
    """
    return name * (_NAME_ALONE + (1 - _NAME_ALONE) * fit)


def suggest_columns(table: TableProfile, dictionary: Dictionary) -> list[Suggestion]:
    """Suggest a field for each column of a table whose columns are fields; each field once."""
    scores = {
        name: read_score_name(profile.label, dictionary) for name, profile in table.columns.items()
    }
    items = Counter(
        (reading.instrument, reading.slot)
        for reading in scores.values()
        if reading is not None and reading.item is not None
    )
    suggestions = []
    for name, profile in table.columns.items():
        reading = scores[name]
        if not profile.filled and not names_person(name):
            question = "May it be left out, or will later exports fill it?"
            suggestions.append(Suggestion(name, None, 0, "has no value", question))
        elif reading is None:
            suggestions.append(suggest_field(profile, dictionary))
        else:
            present = items[reading.instrument, reading.slot]
            suggestions.append(_suggest_score(profile, reading, present, dictionary))
    return _keep_best(suggestions)


def _keep_best(suggestions: list[Suggestion]) -> list[Suggestion]:
    best: dict[str, Suggestion] = {}
    for suggestion in suggestions:
        rival = best.get(suggestion.target or "")
        if suggestion.is_firm and (rival is None or suggestion.confidence > rival.confidence):
            best[suggestion.target or ""] = suggestion
    return [
        suggestion
        if not suggestion.is_firm or best[suggestion.target or ""] is suggestion
        else suggestion.give_way(best[suggestion.target or ""].column)
        for suggestion in suggestions
    ]


def _suggest_score(
    profile: Profile, reading: NameReading, present: int, dictionary: Dictionary
) -> Suggestion:
    instrument = dictionary.instruments[reading.instrument]
    ours = instrument.key
    if reading.item is not None:
        ours = instrument.numbered_items[reading.item]
    low, high = dictionary.cohort_fields[ours].low, dictionary.cohort_fields[ours].high
    slot = None if reading.slot == BASELINE else reading.slot
    total = instrument.key if slot is None else f"{instrument.key}_{slot}"
    if slot == IGNORED or total in dictionary.unreadable:
        reason = dictionary.unreadable.get(total, "no horizon contains its time")
        return Suggestion(profile.name, None, 0, reason, "May it be left out?")
    fit, words = profile.share_of_range(low, high), {}
    if reading.item is not None and fit < MIN_CONFIDENCE:
        words = translate_answers(profile.counts)
        fit = profile.share(sum(profile.counts[text] for text in words)) if words else fit
    name = 1.0 if reading.is_whole else _PARTLY_READ
    reasons = [
        f"named like {instrument.name}",
        _describe_share(fit, "answers" if words else f"whole numbers from {low:g} to {high:g}"),
    ]
    confidence = rate(name, fit)
    question = f"Is it measured {_describe_time(slot)}?"
    group = ""
    if reading.item is not None:
        # Half of an item's confidence depends on how many of the instrument's items are there.
        confidence *= (1 + min(1, present / len(instrument.item_highs))) / 2
        reasons.append(f"{present} of {len(instrument.item_highs)} items")
        group, question = f"items of {total}", _question_items(instrument, present, slot)
    target = ours if slot is None else f"{ours}_{slot}"
    return Suggestion(
        profile.name, target, confidence, "; ".join(reasons), question, words=words, group=group
    )


def _question_items(instrument: Instrument, present: int, slot: str | None) -> str:
    if present < len(instrument.item_highs):
        shorter = ", ".join(instrument.short_forms) or "a shorter scale"
        return f"Items are missing: is it {instrument.name}, or {shorter}?"
    return f"Are they the items of {instrument.name} in its order, {_describe_time(slot)}?"


def _describe_time(slot: str | None) -> str:
    return "before the first dose" if slot is None else f"at the horizon {slot}"


def _describe_share(share: float, what: str) -> str:
    word = "all" if share == 1 else "no" if share == 0 else f"{share:.0%} of"
    return f"{word} values are {what}"


def suggest_field(profile: Profile, dictionary: Dictionary) -> Suggestion:
    """Suggest the field that a column is most like, by name, description and values."""
    if names_person(profile.name):
        return Suggestion(
            profile.name, None, 0, IDENTIFIER, "Remove the column before it comes here."
        )
    known = dictionary.cohort_fields.get(profile.label)
    if known is not None and known.numeric:
        # This includes items with the name of another scale's, such as those of subscales.
        return fit_field(profile, known, 1.0)
    best = Suggestion(profile.name, None, 0, "resembles no field", _UNKNOWN)
    for name, names in list_field_names(dictionary):
        similarity = compare_names(profile.label, names)
        if name == _PATIENT:
            # The shape has already chosen the column that joins tables: this may be another code.
            if similarity == 1:
                return Suggestion(
                    profile.name, None, similarity, "also named like patient_id", _OTHER_CODE
                )
            continue
        similarity = max(similarity, _DESCRIPTION * compare_names(profile.description, names))
        if similarity > best.confidence:
            suggestion = fit_field(profile, dictionary.fields[name], similarity)
            if suggestion.confidence > best.confidence:
                best = suggestion
    if best.confidence >= MIN_CONFIDENCE or best.target is None:
        return best
    nearest = f"resembles no field; the nearest is {best.target} ({best.confidence:.0%})"
    return Suggestion(profile.name, None, best.confidence, nearest, _UNKNOWN)


def fit_field(profile: Profile, ours: Field, similarity: float) -> Suggestion:
    """Rate how well a column fits a field, by its values and the similarity of names."""
    base = Suggestion(profile.name, ours.name, 0, f"named like {ours.label}", "")
    if ours.numeric:
        return _fit_number(profile, ours, similarity, base)
    if ours.kind in (Kind.CATEGORY, Kind.FLAG):
        return _fit_words(profile, ours, similarity, base)
    if ours.kind is Kind.DATE:
        fit = float(bool(profile.list_date_patterns()))
        question = "Is it the day of the assessment before the first dose?"
    else:
        fit = profile.share_texts(is_code)
        question = "Is it an opaque code?"
    kinds = "dates" if ours.kind is Kind.DATE else "codes"
    reason = f"{base.reason}; {_describe_share(fit, kinds)}"
    return replace(base, confidence=rate(similarity, fit), reason=reason, question=question)


def _fit_number(profile: Profile, ours: Field, similarity: float, base: Suggestion) -> Suggestion:
    words = {*split_name(f"{profile.name} {profile.description}")}
    units = UNITS.get(ours.unit, {})
    named = [unit for unit in units if {*split_name(unit)} <= words or unit.rstrip("s") in words]
    fits: dict[str | None, float] = {None: profile.share_of_range(ours.low, ours.high)}
    fits |= {unit: profile.share_of_range(ours.low, ours.high, units[unit]) for unit in units}
    unit = named[0] if named else None
    # Another unit only if ours does not fit: an age of 12,000 is in days.
    if unit is None and fits[None] < MIN_CONFIDENCE:
        unit = max(fits, key=lambda name: fits[name])
    allowed = f"{ours.low:g} to {ours.high:g} {ours.unit}".rstrip()
    assumed = f" if they are in {unit}" if unit else ""
    reason = f"{base.reason}; {_describe_share(fits[unit], allowed)}{assumed}"
    question = f"Is it in {unit or ours.unit}?" if ours.unit else f"Is it this: {ours.label}?"
    confidence = rate(similarity, fits[unit])
    return replace(base, confidence=confidence, reason=reason, question=question, unit=unit)


def _fit_words(profile: Profile, ours: Field, similarity: float, base: Suggestion) -> Suggestion:
    words, unknown, hidden, fitting = {}, [], 0, 0
    for text, count in profile.counts.items():
        translated = _translate_text(profile.labels.get(text, text), ours)
        fitting += count if translated is not None else 0
        if translated is None:
            shown = count >= MIN_WORD_ROWS and len(text) <= MAX_WORD_LETTERS
            unknown += [text] if shown else []
            hidden += not shown
        elif translated != _read_word(text, ours):
            words[text] = translated
    fit = profile.share(fitting)
    # Codes without labels: only the analyst knows what they mean.
    as_codes = fit == 0 and 0 < len(profile.counts) <= _MAX_CODES
    what = "true or false" if ours.kind is Kind.FLAG else "words for its categories"
    return replace(
        base,
        confidence=rate(similarity, _CODES_FIT if as_codes else fit),
        reason=f"{base.reason}; {_describe_share(fit, what)}",
        question=f"Do its words mean {ours.allowed.removeprefix('one of: ')}?",
        words=words,
        unknown=tuple(sorted(unknown)),
        hidden=hidden,
    )


def _translate_text(text: str, ours: Field) -> str | None:
    if ours.kind is Kind.CATEGORY:
        return translate_word(text, ours.name, ours.categories)
    return _read_word(text, ours) or translate_word(text, "flag", ("true", "false"))


def _read_word(text: str, ours: Field) -> str | None:
    """Return what a text is read as without any mapping; None if it breaks a rule."""
    parsed = parse_values(ours, [text], TEXT_READERS)
    words = ours.categories or ("false", "true")
    return None if parsed.broken else words[int(parsed.values[0])]
