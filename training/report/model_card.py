"""The model card of a registered version, for people (Markdown) and for machines (JSON)."""

from dataclasses import dataclass
from typing import Any

from features.model.card import ModelCard
from training.findings.findings import Findings
from training.report.forests import tabulate_groups
from training.report.page import render_markdown
from training.report.tables import tabulate_measures, tabulate_performance


@dataclass(frozen=True)
class RegisteredCard:
    """All facts about one registered version.

    Parameters
    ----------
    aliases
        Such as ``champion``, when it was read.
    findings
        None if the version was registered without findings.
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
