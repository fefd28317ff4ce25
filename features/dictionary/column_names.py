"""What a column's name gives away: a person, or something known only after the first dose."""

import re
from functools import lru_cache

# The last words of a column name that names, dates or locates a person.
IDENTIFIER_ENDINGS = (
    *("name", "surname", "forename", "initials", "birth date", "birthdate", "date of birth", "dob"),
    *("phone", "telephone", "mobile", "fax", "email", "e mail", "mail", "address", "street"),
    *("postcode", "postal code", "zip", "zip code", "ssn", "social security number", "nhs number"),
    *("mrn", "record number", "medical record", "chart number", "passport", "insurance number"),
    *("national id", "ip address"),
)
# The word before "name" says what is named: "redcap event name" an event, "site contact name" a
# person, and so does "name" alone. A word that is not listed is taken to name a person.
NAMED_THINGS = frozenset(
    {
        *("site", "clinic", "center", "centre", "hospital", "practice", "ward", "department"),
        *("study", "trial", "project", "protocol", "cohort", "program", "programme", "country"),
        *("event", "visit", "arm", "phase", "timepoint", "session", "cycle", "period", "epoch"),
        *("instrument", "scale", "test", "measure", "assessment", "questionnaire", "survey"),
        *("form", "item", "question", "subscale", "outcome", "diagnosis", "condition", "disorder"),
        *("drug", "medication", "agent", "product", "brand", "generic", "substance", "treatment"),
        *("therapy", "intervention", "device", "dose", "regimen", "group", "stratum", "category"),
        *("file", "table", "sheet", "field", "variable", "column", "dataset", "database"),
    }
)
# Known only once treatment has begun; as a feature it would let the outcome leak into its estimate.
AFTER_BASELINE = (
    *("dissociation", "cadss", "meq30", "meq", "side effects", "adverse events", "dropout"),
    *("sessions completed", "infusions completed", "completed sessions", "sessions attended"),
    *("response", "responder", "remission", "remitter", "relapse", "improvement", "change"),
    *("early response", "first dose response", "last", "locf", "endpoint", "end", "followup"),
    *("days in treatment", "per protocol", "antidepressant start day", "n parental treatments"),
    *("post", "after", "discharge"),
)
# `prior_response_ketamine` is of an earlier treatment.
EARLIER = ("prior ", "previous ")
# As whole words.
_LAST_WORDS = tuple(f" {ending}" for ending in IDENTIFIER_ENDINGS)
_LATE_WORDS = re.compile(rf" ({'|'.join(AFTER_BASELINE)}) ")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+")


# Every check of a name splits it, and a file may have 100,000 of them.
@lru_cache(maxsize=64)
def split_words(name: str) -> str:
    """Return the words of a column name, lower case and without digits.

    Examples
    --------
    >>> split_words("Patient_firstName2")
    'patient first name'
    """
    return " ".join(_WORD.findall(_CAPITAL.sub(" ", name).lower()))


def names_person(name: str) -> bool:
    """Return whether a column of this name would hold direct identifiers.

    Examples
    --------
    >>> names_person("LastName"), names_person("redcap_event_name")
    (True, False)
    """
    words = split_words(name)
    *_, thing, last = ["", *words.split(" ")]
    if last == "name" and thing in NAMED_THINGS:
        return False
    return f" {words}".endswith(_LAST_WORDS)


def is_known_later(name: str) -> bool:
    """Return whether a column of this name would be known only after the first dose.

    Examples
    --------
    >>> is_known_later("early_response"), is_known_later("prior_response_ketamine")
    (True, False)
    """
    words = split_words(name)
    return not words.startswith(EARLIER) and _LATE_WORDS.search(f" {words} ") is not None
