"""Column names that are accepted: no direct identifiers, nothing from after the first dose.

Early scores are accepted; the outcome decides which models may read them.

The check reads column names alone, before any value is looked at.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from features.base.errors import Problem
from features.dictionary.column_names import is_known_later, names_person
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field, Group

# Names come from clients: a long one is neither shown nor compared beyond this.
SHOWN_LETTERS = 64
# Finding the nearest known name takes milliseconds, and a client may send thousands of names.
HINTED_NAMES = 8


def check_names(
    names: Iterable[str], dictionary: Dictionary, known: Mapping[str, Field] | None = None
) -> list[Problem]:
    """Explain every name that is not among the `known` fields, by default those of an assessment.

    Examples
    --------
    >>> from features.dictionary.dictionary import load_dictionary
    >>> print(check_names(["phq9", "PHQ_9"], load_dictionary())[0])
    PHQ_9 (unknown): not a known field; did you mean phq9?
    """
    known = dictionary.fields if known is None else known
    strange = [name for name in names if name not in known]
    hints = {name: _hint_name(name, known) for name in strange[:HINTED_NAMES]}
    return [_explain_name(name, dictionary, hints.get(name, "")) for name in strange]


def _explain_name(name: str, dictionary: Dictionary, hint: str) -> Problem:
    shown = name[:SHOWN_LETTERS]
    if not shown.isprintable():
        shown = "".join(filter(str.isprintable, shown))
    if names_person(shown):
        message = "looks like a direct identifier; remove the column before it comes here"
        return Problem(shown, "identifier", message)
    if name in dictionary.unreadable:
        return Problem(shown, "recall", dictionary.unreadable[name])
    if name in dictionary.followups or is_known_later(shown):
        message = "is known only after the first dose; as a feature it would be leakage"
        return Problem(shown, "leakage", message)
    return Problem(shown, "unknown", f"not a known field{hint}")


def _hint_name(name: str, known: Mapping[str, Field]) -> str:
    plain = {
        field.name.replace("_", ""): field.name
        for field in known.values()
        if field.group is not Group.ITEM
    }
    close = get_close_matches(
        name[:SHOWN_LETTERS].lower().replace("_", ""), plain, n=1, cutoff=0.75
    )
    return f"; did you mean {plain[close[0]]}?" if close else ""
