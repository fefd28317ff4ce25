"""The card of a registered version."""

from training.registry.reference import Reference
from training.registry.registry import Registry
from training.report.model_card import RegisteredCard


def read_registered_card(registry: Registry, reference: Reference) -> RegisteredCard:
    """Read the card of a version, checked against its digests."""
    registered = registry.load_reference(reference)
    name, version, model = reference.name, registered.version, registered.model
    findings = registry.read_findings(name, version)
    aliases = registry.list_aliases(name, version)
    return RegisteredCard(version, aliases, model.digest, model.card, findings)
