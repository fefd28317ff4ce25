"""Promotion: a version becomes champion if it passes the gate, or if a user overrides the gate."""

from dataclasses import dataclass
from typing import Any

from features.base.errors import InputError, Problem
from features.model.card import SIMULATED_NOTE, ModelCard
from training.candidates.registry import BASE_RATE
from training.findings.findings import Criterion
from training.findings.gate import format_gate, judge_with_champion, list_failed, passes
from training.findings.rule import Standing
from training.registry.history import Action, Event
from training.registry.reference import Reference
from training.registry.registry import RegisteredModel, Registry

# The event, reason included, is one tag in MLflow, whose length is limited.
_MAX_REASON = 1000
_WITHOUT_FINDINGS = Criterion(
    name="findings",
    question="what validation found",
    value=None,
    low=None,
    high=None,
    passed=False,
    because="registered without findings: fit again",
)


@dataclass(frozen=True)
class Promotion:
    """The outcome of a request for promotion.

    Parameters
    ----------
    before
        The champion at the time of the request; None if there was none.
    criteria
        Empty if the version was champion already.
    event
        None if the champion did not change.
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
            "gate": [criterion.model_dump(mode="json") for criterion in self.criteria],
            "failed": list_failed(self.criteria),
            "event": None if self.event is None else self.event.model_dump(mode="json"),
        }


def promote_version(
    registry: Registry, reference: Reference, who: str, reason: str = ""
) -> Promotion:
    """Make a version the champion, if it passes the gate against the present one.

    Parameters
    ----------
    reason
        Why it becomes champion even if it fails; empty to refuse it then.

    Raises
    ------
    InputError
        If the reason is too long.
    UnavailableError
        If there is no such version, or another change of the champion came first.
    ArtifactError
        If the version, its findings, or the history is damaged.
    """
    reason = _check_reason(reason)
    name, version = reference.name, registry.find_version(reference)
    history = registry.open_history(name)
    history.resume()
    # Read before judging: any change of the champion after this moment voids the promotion.
    chain, present = history.read(), registry.find_standing(name)
    # Only its number: a damaged champion must be replaceable.
    before = None if present is None else present.version
    registered = registry.load_version(name, version)
    if version == before:
        return Promotion(registered.model.card, version, before)
    criteria = _judge_version(registry, registered, present)
    passed = passes(criteria)
    if not passed and not reason:
        return Promotion(registered.model.card, version, before, criteria)
    action: Action = "promotion" if passed else "override"
    reason = reason or registered.model.card.verdict
    event = history.change(version, action, who, reason, criteria, chain)
    return Promotion(registered.model.card, version, before, criteria, event)


def _check_reason(reason: str) -> str:
    # One line, so that a history can be read line by line.
    line = " ".join(reason.split())
    if len(line) > _MAX_REASON:
        allowed = f"must have at most {_MAX_REASON} characters"
        raise InputError([Problem("--override-reason", "length", allowed)])
    return line


def _judge_version(
    registry: Registry, registered: RegisteredModel, present: Standing | None
) -> tuple[Criterion, ...]:
    # By its own study's bounds, and against the present champion: the one it was compared
    # with may have been replaced.
    card = registered.model.card
    findings = registry.read_findings(card.name, registered.version)
    if findings is None:
        # The base rate has no criterion to meet, so it needs no findings.
        return () if card.candidate == BASE_RATE else (_WITHOUT_FINDINGS,)
    return judge_with_champion(findings, findings.bounds, present)


def describe_promotion(done: Promotion) -> str:
    """Describe every criterion with its number, then whether the champion changed."""
    verdict = _summarise_promotion(done)
    banner = [SIMULATED_NOTE] if done.card.simulated else []
    gate = [format_gate(done.criteria), ""] if done.criteria else []
    return "\n".join([*banner, *gate, verdict])


def _summarise_promotion(done: Promotion) -> str:
    subject = f"{done.card.name} version {done.version} ({done.card.candidate})"
    if done.state == "champion":
        return f"{subject} is the champion already. Nothing was changed."
    if done.state == "refused":
        kept = f"version {done.before} stays" if done.before else "there is still none"
        failed = ", ".join(list_failed(done.criteria))
        return f"REFUSED: {subject} does not become champion; {kept}. Not met: {failed}."
    against = " against the gate" if done.state == "overridden" else ""
    replaced = f", in place of version {done.before}" if done.before else ""
    return f"Champion{against}: {subject}{replaced}."
