"""The model card of a registered version, for people (Markdown) and for machines (JSON)."""

from dataclasses import dataclass
from typing import Any

from features.model.card import ModelCard
from training.findings.findings import Findings
from training.registry.reference import Reference
from training.registry.registry import Registry
from training.report.forests import tabulate_groups
from training.report.page import render_markdown
from training.report.tables import tabulate_measures, tabulate_performance


@dataclass(frozen=True)
class RegisteredCard:
    """All facts about one registered version.

    ``aliases`` (such as ``champion``) are those when it was read; ``findings`` is None if it was
    registered without.
    """

    version: str
    aliases: tuple[str, ...]
    digest: str
    card: ModelCard
    findings: Findings | None

    def as_dict(self) -> dict[str, Any]:
        """Return the facts for JSON."""
        return {
            "name": self.card.name,
            "version": self.version,
            "aliases": list(self.aliases),
            "digest": self.digest,
            "data": self.card.data,
            "card": self.card.model_dump(mode="json"),
            "findings": None if self.findings is None else self.findings.model_dump(mode="json"),
        }


def read_registered_card(registry: Registry, reference: Reference) -> RegisteredCard:
    """Read the card of a version, checked against its digests.

    Raises
    ------
    UnavailableError
        If there is no such version.
    ArtifactError
        If the version or its findings are damaged.
    """
    name, version = reference.name, registry.find_version(reference)
    model = registry.load_version(name, version).model
    findings = registry.read_findings(name, version)
    aliases = registry.list_aliases(name, version)
    return RegisteredCard(version, aliases, model.digest, model.card, findings)


def write_model_card(registered: RegisteredCard) -> str:
    """Write the whole card in Markdown."""
    card, findings = registered.card, registered.findings
    return render_markdown(
        "model_card.md",
        registered=registered,
        card=card,
        findings=findings,
        performance=tabulate_performance(findings.performance) if findings else None,
        subgroups=tabulate_groups(findings) if findings else None,
        measures=tabulate_measures(card),
    )
