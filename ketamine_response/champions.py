"""Which version clinicians see: promotion, rollback and history, in a notebook."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ketamine_response.guest import visit
from training.promote import Promotion, promote_version
from training.registry.history import Event, describe_history
from training.registry.reference import parse_reference
from training.registry.registry import Registry


@dataclass(frozen=True)
class History:
    """The champions of an outcome, as a hash-chained list of events.

    Attributes
    ----------
    events
        In order.
    problems
        What is wrong with the chain, in words; empty if nothing is missing or was changed.
    """

    events: tuple[Event, ...]
    problems: tuple[str, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """The events, a row each, with their digests."""
        rows = [{**event.model_dump(mode="json"), "digest": event.digest} for event in self.events]
        names = [*Event.model_fields, "digest"]
        return pd.DataFrame(rows, columns=names).set_index("number")

    def __repr__(self) -> str:
        """Describe every event."""
        return describe_history(self.events, self.problems)


def promote(
    outcome: str,
    version: int | str | None = None,
    *,
    override_reason: str = "",
    home: str | Path | None = None,
) -> Promotion:
    """Make a version the champion, if it meets every criterion of its study.

    Parameters
    ----------
    version
        By default the challenger.
    override_reason
        Why it becomes champion even if it fails, for the history; empty to refuse it then.
    home
        Folder of data and runs; by default as the commands find it.

    Returns
    -------
    Promotion
        Its ``state`` is ``promoted``, ``overridden``, ``refused``, or ``champion`` if it already
        was; ``criteria`` are those of the gate. A refusal is an answer, not an error.

    Raises
    ------
    InputError
        If there is no such outcome, or the reason is too long.
    UnavailableError
        If there is no such version, or another change of the champion came first.
    """
    text = outcome if version is None else f"{outcome}@{version}"
    reference = parse_reference(text, "challenger")
    with visit(home) as entered:
        return promote_version(Registry(entered), reference, entered.user, override_reason)


def rollback(outcome: str, reason: str, *, home: str | Path | None = None) -> Event:
    """Make the previous champion champion again; returns the event in the history.

    Raises
    ------
    UnavailableError
        If there is none.
    """
    with visit(home) as entered:
        return Registry(entered).roll_back(outcome, entered.user, reason)


def history(outcome: str, *, home: str | Path | None = None) -> History:
    """Read who made which version the champion, when and why, and whether that was changed."""
    with visit(home) as entered:
        chronicle = Registry(entered).open_history(outcome)
        return History(chronicle.read().events, chronicle.verify())
