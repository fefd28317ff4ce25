"""The history of champions: each promotion, override and rollback is one hash-chained event.

An event is a version of the registered model ``<outcome>.history``. The registry numbers versions
in the order of their creation, so of two events that follow the same one the first counts and the
other is void. Each event holds the digest of the one before it; a change, a gap or another order
breaks the chain. The alias ``champion`` follows the last event, never the reverse, so a killed
process leaves at worst an outdated alias, which the next command corrects.
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
from features.model.artifact import CHAMPION_ALIAS
from features.model.card import Facts
from features.model.tracking import PROJECT, PROJECT_TAG, read_pages
from training.findings.findings import Criterion
from training.findings.format import format_bounds, format_number

Action = Literal["promotion", "override", "rollback"]

_SUFFIX = ".history"
EVENT_TAG, HEAD_TAG = "event", "head"
# MLflow wants a source for every version; an event has no artifact.
_NOT_A_MODEL = "history:/event"


class Event(Facts):
    """One change of the champion, from version `before` (None for the first) to `after`.

    Parameters
    ----------
    number
        Counted from 1.
    at
        UTC, ISO 8601.
    gate
        Each criterion of the gate with its value, its bounds and whether it passed.
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
    gate: tuple[Mapping[str, Any], ...] = ()
    previous: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the event, which includes the digest of the event before."""
        # One spelling, whatever the order of keys or the locale: the digest must not depend on
        # them.
        plain = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(plain.encode()).hexdigest()


@dataclass(frozen=True)
class Chain:
    """The events that count, in order, and what is wrong with the rest, in words."""

    events: tuple[Event, ...]
    problems: tuple[str, ...]

    @property
    def head(self) -> Event | None:
        """The last event."""
        return self.events[-1] if self.events else None


class History:
    """The champions of one outcome, which is the registered model's name."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client = client
        self.model = name
        self.name = name + _SUFFIX

    def read(self) -> Chain:
        """Read the chain and check it."""
        chain, anchor = _link_events(self._list_stored()), self._read_anchor()
        # The anchor shows that the last event was removed. A process killed between event and
        # anchor leaves it one event behind.
        if anchor is None or anchor in {event.digest for event in chain.events[-2:]}:
            return chain
        return Chain(chain.events, (*chain.problems, "the last event is missing or was changed"))

    def verify(self) -> tuple[str, ...]:
        """List what is wrong with the chain, or with the alias that must follow it."""
        chain, champion = self.read(), self.find_champion()
        head = chain.head
        if head is None:
            orphans = [f"version {champion} is champion without an event"] if champion else []
            return (*chain.problems, *orphans)
        is_settled = self._read_anchor() == head.digest
        if champion not in ({head.after} if is_settled else {head.before, head.after}):
            return (*chain.problems, "the champion's alias was moved without an event")
        return chain.problems

    def change(
        self,
        after: str,
        action: Action,
        who: str,
        reason: str,
        criteria: Sequence[Criterion] = (),
        since: Chain | None = None,
    ) -> Event:
        """Make a version the champion; `criteria`, the gate's answer, are stored with the event.

        Parameters
        ----------
        since
            The chain when the change was decided: a later event makes the change void. None if
            it is the present one.

        Raises
        ------
        UnavailableError, ArtifactError
            As :meth:`record` does.
        """
        head = (self.read() if since is None else since).head
        return self.record(
            Event(
                number=head.number + 1 if head else 1,
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                who=who,
                action=action,
                before=head.after if head else self.find_champion(),
                after=after,
                reason=reason,
                gate=tuple(criterion.model_dump(mode="json") for criterion in criteria),
                previous=head.digest if head else "",
            )
        )

    def record(self, event: Event) -> Event:
        """Store an event, then move the alias.

        Raises
        ------
        UnavailableError
            If another change came first; nothing has been changed by this one.
        ArtifactError
            If the chain is broken: nothing is added to a history that cannot be trusted.
        """
        self._refuse_broken()
        number = self._store(event)
        if event not in self.read().events:
            message = f"another change of {self.model}'s champion came first; look at the history"
            raise UnavailableError(f"{message} (event {number} is void)")
        self._move_alias()
        return event

    def resume(self) -> None:
        """Finish what a killed process began; ArtifactError if the chain is broken."""
        self._refuse_broken()
        self._move_alias()

    def find_champion(self) -> str | None:
        """Return the version that has the champion's alias now."""
        try:
            champion = self.client.get_model_version_by_alias(self.model, CHAMPION_ALIAS)
        except MlflowException as error:
            if is_absent(error):
                return None
            raise
        return str(champion.version)

    def _refuse_broken(self) -> None:
        if problems := self.read().problems:
            raise ArtifactError("; ".join([f"{self.name} is broken", *problems]))

    def _move_alias(self) -> None:
        # Again if another event came while the alias was being set: the last event decides.
        while (head := self.read().head) is not None:
            if self.find_champion() == head.after and self._read_anchor() == head.digest:
                return
            self.client.set_registered_model_alias(self.model, CHAMPION_ALIAS, head.after)
            self.client.set_registered_model_tag(self.name, HEAD_TAG, head.digest)

    def _list_stored(self) -> dict[int, Event | None]:
        # By the registry's own numbers; None if an event cannot be read.
        versions = read_pages(self.client.search_model_versions, f"name='{self.name}'")
        stored = {int(entry.version): _parse_event(entry.tags.get(EVENT_TAG)) for entry in versions}
        return dict(sorted(stored.items()))

    def _store(self, event: Event) -> int:
        try:
            self.client.create_registered_model(self.name, {PROJECT_TAG: PROJECT})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # MLflow assigns version numbers in a transaction: of two writers, one comes first.
        tags = {EVENT_TAG: event.model_dump_json()}
        created = self.client.create_model_version(self.name, _NOT_A_MODEL, tags=tags)
        return int(created.version)

    def _read_anchor(self) -> str | None:
        try:
            anchor = self.client.get_registered_model(self.name).tags.get(HEAD_TAG)
        except MlflowException as error:
            if is_absent(error):
                return None
            raise
        return None if anchor is None else str(anchor)


def is_absent(error: MlflowException) -> bool:
    """Return whether the registry has no such model, version or alias; not that it failed."""
    # MLflow calls an alias that does not exist an invalid value.
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _parse_event(text: str | None) -> Event | None:
    try:
        return Event.model_validate_json(text or "")
    except ValidationError:
        return None


def _link_events(stored: Mapping[int, Event | None]) -> Chain:
    events: list[Event] = []
    problems: list[str] = []
    for expected, (number, event) in enumerate(stored.items(), start=1):
        previous = events[-1].digest if events else ""
        earlier = ["", *(event.digest for event in events[:-1])]
        if number != expected and not problems:
            problems.append(f"event {expected} is missing")
        if event is None:
            problems.append(f"event {number} cannot be read")
        elif event.previous == previous and event.number == len(events) + 1:
            events.append(event)
        # One that follows an earlier event lost a race: it is void, which is not a fault.
        elif event.previous not in earlier or event.number > len(events):
            problems.append(f"event {number} does not follow the one before it")
    return Chain(tuple(events), tuple(problems))


def find_previous_champion(events: Sequence[Event]) -> str | None:
    """Return the champion before the present one; a rollback undoes its own promotion."""
    champions = [event.before for event in events[:1] if event.before is not None]
    for event in events:
        if event.action == "rollback":
            champions.pop()
        else:
            champions.append(event.after)
    return champions[-2] if len(champions) > 1 else None


def describe_history(events: Sequence[Event], problems: Sequence[str]) -> str:
    """Describe each event with the numbers that decided, the latest last, and what is wrong."""
    lines = [line for event in events for line in _describe_event(event)]
    count = f"{len(events)} event{'s' if len(events) != 1 else ''}"
    verdict = [f"BROKEN: {problem}" for problem in problems] or [f"{count}, the chain is intact"]
    return "\n".join([*lines, *verdict])


def _describe_event(event: Event) -> Iterator[str]:
    before = f" in place of {event.before}" if event.before else ""
    what = f"{event.action} of version {event.after}{before}"
    yield f"{event.number}. {event.at} {event.who}: {what}. {event.reason}"
    for word, verdict in (("passed", True), ("FAILED", False), ("does not apply", None)):
        criteria = [entry for entry in event.gate if entry.get("passed") is verdict]
        if criteria:
            yield f"   {word}: {'; '.join(map(_describe_criterion, criteria))}"


def _describe_criterion(criterion: Mapping[str, Any]) -> str:
    # Of an event from the store, whose keys an older release may have written differently.
    value, low, high = (criterion.get(key) for key in ("value", "low", "high"))
    bounds = "" if low is None and high is None else f" ({format_bounds(low, high)})"
    return f"{criterion.get('name', 'criterion')} {format_number(value)}{bounds}"
