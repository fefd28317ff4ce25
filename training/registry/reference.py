"""References: which version of which registered model is meant."""

import re
from dataclasses import dataclass

from features.base.errors import InputError, OutcomeError, Problem
from features.dictionary.outcome import parse_outcome
from features.model.artifact import CHALLENGER_ALIAS, CHAMPION_ALIAS

_ALIASES = (CHAMPION_ALIAS, CHALLENGER_ALIAS)
# No leading zero, so that a version is written in one way only.
VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Reference:
    """One version of a registered model, by its number or else by an alias."""

    name: str
    alias: str = CHAMPION_ALIAS
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version or self.alias}"


def parse_reference(text: str, alias: str = CHAMPION_ALIAS) -> Reference:
    """Read ``OUTCOME``, which means its `alias`, ``OUTCOME@ALIAS`` or ``OUTCOME@VERSION``.

    Raises
    ------
    InputError
        If there is no such outcome or alias.

    Examples
    --------
    >>> parse_reference("phq9.acute.response")
    Reference(name='phq9.acute.response', alias='champion', version=None)
    >>> str(parse_reference("phq9.acute.response@3"))
    'phq9.acute.response@3'
    """
    outcome, at, wanted = text.partition("@")
    name = _check_outcome(outcome)
    if not at:
        return Reference(name, alias)
    if VERSION.fullmatch(wanted):
        return Reference(name, alias, wanted)
    if wanted not in _ALIASES:
        allowed = f"must be {', '.join(_ALIASES)} or the number of a version"
        raise InputError([Problem("model", "version", f"what follows @ {allowed}")])
    return Reference(name, wanted)


def _check_outcome(text: str) -> str:
    try:
        return parse_outcome(text).id
    except OutcomeError as error:
        # A study may have added the instrument: its model, if there is one, is in the registry.
        if [problem.rule for problem in error.problems] == ["instrument"]:
            return text
        raise
