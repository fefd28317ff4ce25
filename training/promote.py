"""Promotion: a version becomes champion if the gate lets it, or if somebody answers for it."""

from dataclasses import dataclass
from typing import Any

from features.base.errors import InputError, Problem
from features.model.card import SIMULATED_NOTE, ModelCard
from training.candidates.registry import BASE_RATE
from training.findings.findings import Criterion
from training.findings.gate import format_gate, judge_against, list_failed, passes
from training.findings.rule import Standing, decide
from training.registry.history import Action, Event
from training.registry.reference import Reference
from training.registry.registry import RegisteredModel, Registry

LONGEST_REASON = 1000
WITHOUT_FINDINGS = decide(
    "findings", "what validation found", None, reason="registered without findings: fit again"
)


@dataclass(frozen=True)
class Promotion:
    """What came of asking for a promotion.

    Parameters
    ----------
    before
        The champion when it was asked for; None where there was none.
    criteria
        Empty where the version was champion already.
    event
        None where nothing was moved.
    """

    card: ModelCard
    version: str
    before: str | None
    criteria: tuple[Criterion, ...] = ()
    event: Event | None = None

    @property
    def state(self) -> str:
        """``promoted``, ``overridden``, ``refused``, or ``champion`` if it already was."""
        if self.event is not None:
            return "overridden" if self.event.action == "override" else "promoted"
        return "champion" if self.version == self.before else "refused"

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "outcome": self.card.name,
            "version": self.version,
            "before": self.before,
            "state": self.state,
            "data": self.card.data,
            "gate": [one.model_dump(mode="json") for one in self.criteria],
            "failed": list_failed(self.criteria),
            "event": None if self.event is None else self.event.model_dump(mode="json"),
        }


def promote(registry: Registry, reference: Reference, who: str, reason: str = "") -> Promotion:
    """Make a version the champion, if it passes the gate against the present one.

    Parameters
    ----------
    reason
        Why it shall be champion even if it does not pass; empty where it shall not.

    Raises
    ------
    InputError
        If the reason is too long.
    UnavailableError
        If there is no such version, or another change of the champion came first.
    ArtifactError
        If the version, what was found of it, or the history is damaged.
    """
    reason = check_reason(reason)
    name, version = reference.name, registry.find_version(reference)
    history = registry.open_history(name)
    history.resume()
    # Read before judging: whoever comes first after this moment makes this promotion void.
    head, present = history.read().head, registry.find_standing(name)
    before = None if present is None else present.version
    asked = registry.load_version(name, version)
    if version == before:
        return Promotion(asked.model.card, version, before)
    criteria = judge_version(registry, asked, present)
    met = passes(criteria)
    if not met and not reason:
        return Promotion(asked.model.card, version, before, criteria)
    gate = tuple(one.model_dump(mode="json") for one in criteria)
    action: Action = "promotion" if met else "override"
    why = reason or asked.model.card.verdict
    event = history.record(history.follow(head, version, action, who, why, gate))
    return Promotion(asked.model.card, version, before, criteria, event)


def check_reason(reason: str) -> str:
    """Put a reason on one line; refuse one that is longer than a history should hold."""
    line = " ".join(reason.split())
    if len(line) > LONGEST_REASON:
        allowed = f"must have {LONGEST_REASON} characters at the most"
        raise InputError([Problem("--override-reason", "length", allowed)])
    return line


def judge_version(
    registry: Registry, asked: RegisteredModel, present: Standing | None
) -> tuple[Criterion, ...]:
    """Judge what was found of a version by its own study's bounds and the present champion."""
    card = asked.model.card
    findings = registry.read_findings(card.name, asked.version)
    if findings is None:
        # Nothing is asked of the base rate, so nothing need have been found of it.
        return () if card.candidate == BASE_RATE else (WITHOUT_FINDINGS,)
    return judge_against(findings, findings.bounds, present)


def describe_promotion(done: Promotion) -> str:
    """Describe every criterion with its number, then what was moved and what was not."""
    verdict = summarise_promotion(done)
    banner = [SIMULATED_NOTE] if done.card.simulated else []
    gate = [format_gate(done.criteria), ""] if done.criteria else []
    return "\n".join([*banner, *gate, verdict])


def summarise_promotion(done: Promotion) -> str:
    """Say in a line what was moved, and what was not."""
    what = f"{done.card.name} version {done.version} ({done.card.candidate})"
    place = f", in place of version {done.before}" if done.before else ""
    if done.state == "champion":
        return f"{what} is the champion already. Nothing was changed."
    if done.state == "refused":
        kept = f"version {done.before} stays" if done.before else "there is still none"
        failed = ", ".join(list_failed(done.criteria))
        return f"REFUSED: {what} does not become champion; {kept}. Not met: {failed}."
    against = " against the gate" if done.state == "overridden" else ""
    return f"Champion{against}: {what}{place}."
