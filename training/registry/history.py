"""The history of champions: every promotion, override and rollback, one hash-chained event each.

An event is a version of the registered model ``<outcome>.history``: the registry numbers versions
one after the other whoever asks, so of two events that follow the same one the first is the event
and the other is void. Each holds the digest of the one before it; a change, a gap or another order
breaks the chain. The alias ``champion`` follows the last event, never the other way round, so a
process killed in between leaves an alias that the next command sets right.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from features.base.errors import ArtifactError, UnavailableError
from features.model.card import Facts
from features.model.response_model import CHAMPION_ALIAS
from training.findings.format import format_bounds, format_number

Action = Literal["promotion", "override", "rollback"]
Gate = tuple[Mapping[str, Any], ...]

SUFFIX = ".history"
EVENT_TAG, HEAD_TAG = "event", "head"
NOT_A_MODEL = "history:/event"


class Event(Facts):
    """One change of the champion.

    Parameters
    ----------
    number
        Counted from 1.
    at
        UTC, ISO 8601.
    before, after
        Versions of the registered model; `before` is None for the first champion.
    reason
        Why, in words.
    gate
        What each criterion was, what it had to be, and whether it passed.
    previous
        Digest of the event before; empty for the first.
    """

    number: int
    at: str
    who: str
    action: Action
    before: str | None
    after: str
    reason: str
    gate: Gate = ()
    previous: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the event, that of the one before included."""
        plain = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(plain.encode()).hexdigest()


@dataclass(frozen=True)
class Stored:
    """An event as the registry holds it.

    Parameters
    ----------
    version
        Given by the registry.
    event
        None where it cannot be read.
    """

    version: int
    event: Event | None


@dataclass(frozen=True)
class Chain:
    """What the registry holds, sorted out.

    Parameters
    ----------
    events
        Those that count, in order.
    problems
        What is wrong with the rest, in words.
    """

    events: tuple[Event, ...]
    problems: tuple[str, ...]

    @property
    def head(self) -> Event | None:
        """The last event."""
        return self.events[-1] if self.events else None


class History:
    """The champions of one outcome.

    Parameters
    ----------
    name
        The registered model's name.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client = client
        self.model = name
        self.name = name + SUFFIX

    def read(self) -> Chain:
        """Read the chain, and find what is wrong with it."""
        chain, anchor = link_events(self._list_stored()), self._find_anchor()
        # A process killed in between leaves the anchor one event behind.
        if anchor is None or anchor in {event.digest for event in chain.events[-2:]}:
            return chain
        return Chain(chain.events, (*chain.problems, "the last event is missing or was changed"))

    def verify(self) -> tuple[str, ...]:
        """Find what is wrong with the chain, or with the alias that should follow it."""
        chain, champion = self.read(), self.find_champion()
        head = chain.head
        if head is None:
            found = [f"version {champion} is champion without an event"] if champion else []
            return (*chain.problems, *found)
        noted = self._find_anchor() == head.digest
        if champion not in ({head.after} if noted else {head.before, head.after}):
            return (*chain.problems, "the champion's alias was moved without an event")
        return chain.problems

    def change(self, after: str, action: Action, who: str, reason: str, gate: Gate = ()) -> Event:
        """Make a version the champion, following the last event.

        Raises
        ------
        UnavailableError, ArtifactError
            As :meth:`record` does.
        """
        return self.record(self.follow(self.read().head, after, action, who, reason, gate))

    def follow(
        self,
        head: Event | None,
        after: str,
        action: Action,
        who: str,
        reason: str,
        gate: Gate = (),
    ) -> Event:
        """Make the event that follows another; not recorded yet.

        Parameters
        ----------
        head
            The last event when it was decided: if another comes in between, this one is void.
        """
        return Event(
            number=head.number + 1 if head else 1,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            who=who,
            action=action,
            before=head.after if head else self.find_champion(),
            after=after,
            reason=reason,
            gate=gate,
            previous=head.digest if head else "",
        )

    def record(self, event: Event) -> Event:
        """Make a change of the champion: the event first, then the alias.

        Raises
        ------
        UnavailableError
            If another change came first; nothing has been changed by this one.
        ArtifactError
            If the chain is broken: nothing is added to a history that cannot be trusted.
        """
        self.refuse_broken()
        number = self._store(event)
        chain = self.read()
        if event not in chain.events:
            message = f"another change of {self.model}'s champion came first; look at the history"
            raise UnavailableError(f"{message} (event {number} is void)")
        self.settle()
        return event

    def resume(self) -> None:
        """Finish what a killed process began, before anything else is done.

        Raises
        ------
        ArtifactError
            If the chain is broken.
        """
        self.refuse_broken()
        self.settle()

    def refuse_broken(self) -> None:
        """Refuse to build on a chain that is broken.

        Raises
        ------
        ArtifactError
            Listing what is wrong.
        """
        if problems := self.read().problems:
            raise ArtifactError("; ".join([f"{self.name} is broken", *problems]))

    def settle(self) -> None:
        """Let the alias follow the last event, until no other came while it was set."""
        while (head := self.read().head) is not None:
            if self.find_champion() == head.after and self._find_anchor() == head.digest:
                return
            self.client.set_registered_model_alias(self.model, CHAMPION_ALIAS, head.after)
            self.client.set_registered_model_tag(self.name, HEAD_TAG, head.digest)

    def find_champion(self) -> str | None:
        """Find the version that has the champion's alias now."""
        try:
            found = self.client.get_model_version_by_alias(self.model, CHAMPION_ALIAS)
        except MlflowException:
            return None
        return str(found.version)

    def _list_stored(self) -> list[Stored]:
        found = self.client.search_model_versions(f"name='{self.name}'")
        stored = [Stored(int(one.version), parse_event(one.tags.get(EVENT_TAG))) for one in found]
        return sorted(stored, key=lambda one: one.version)

    def _store(self, event: Event) -> int:
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {EVENT_TAG: event.model_dump_json()}
        created = self.client.create_model_version(self.name, NOT_A_MODEL, tags=tags)
        return int(created.version)

    def _find_anchor(self) -> str | None:
        try:
            tags = self.client.get_registered_model(self.name).tags
        except MlflowException:
            return None
        found = tags.get(HEAD_TAG)
        return None if found is None else str(found)


def parse_event(text: str | None) -> Event | None:
    """Read an event; None where it is none."""
    try:
        return Event.model_validate_json(text or "")
    except ValidationError:
        return None


def link_events(stored: Sequence[Stored]) -> Chain:
    """Sort out which events count: each must follow the last one that does.

    An event that follows an earlier one lost a race; it is void, and no fault.
    """
    events: list[Event] = []
    problems: list[str] = []
    for version, one in enumerate(stored, start=1):
        previous = events[-1].digest if events else ""
        earlier = ["", *(event.digest for event in events[:-1])]
        if one.version != version and not problems:
            problems.append(f"event {version} is missing")
        if one.event is None:
            problems.append(f"event {one.version} cannot be read")
        elif one.event.previous == previous and one.event.number == len(events) + 1:
            events.append(one.event)
        elif one.event.previous not in earlier or one.event.number > len(events):
            problems.append(f"event {one.version} does not follow the one before it")
    return Chain(tuple(events), tuple(problems))


def find_previous(events: Sequence[Event]) -> str | None:
    """Find the champion before the present one; a rollback takes its own promotion back.

    Examples
    --------
    >>> def follow(action, before, after):
    ...     made = {"number": 1, "at": "", "who": "", "reason": ""}
    ...     return Event(action=action, before=before, after=after, **made)
    >>> events = [follow("promotion", None, "1"), follow("promotion", "1", "2")]
    >>> find_previous(events)
    '1'
    >>> find_previous([*events, follow("promotion", "2", "3"), follow("rollback", "3", "2")])
    '1'
    """
    champions = [event.before for event in events[:1] if event.before is not None]
    for event in events:
        if event.action == "rollback":
            champions.pop()
        else:
            champions.append(event.after)
    return champions[-2] if len(champions) > 1 else None


def describe_history(events: Sequence[Event], problems: Sequence[str]) -> str:
    """Describe each event with the numbers that decided, the latest last, and what is wrong."""
    lines = [line for event in events for line in describe_event(event)]
    count = f"{len(events)} event{'s' if len(events) != 1 else ''}"
    verdict = [f"BROKEN: {problem}" for problem in problems] or [f"{count}, the chain is whole"]
    return "\n".join([*lines, *verdict])


def describe_event(event: Event) -> Iterator[str]:
    """Describe one event: who, when, what and why; then what passed, and what failed."""
    before = f" in place of {event.before}" if event.before else ""
    what = f"{event.action} of version {event.after}{before}"
    yield f"{event.number}. {event.at} {event.who}: {what}. {event.reason}"
    for word, verdict in (("passed", True), ("FAILED", False), ("does not apply", None)):
        told = [describe_number(one) for one in event.gate if one.get("passed") is verdict]
        if told:
            yield f"   {word}: {'; '.join(told)}"


def describe_number(criterion: Mapping[str, Any]) -> str:
    """Describe what one criterion was and had to be, as an event holds it.

    Examples
    --------
    >>> describe_number({"name": "instability", "value": 0.04, "high": 0.1, "passed": True})
    'instability 0.04 (at most 0.1)'
    """
    value, low, high = (criterion.get(key) for key in ("value", "low", "high"))
    asked = "" if low is None and high is None else f" ({format_bounds(low, high)})"
    return f"{criterion.get('name', 'criterion')} {format_number(value)}{asked}"
