"""The card of a model that was never fitted; a test changes what matters to it."""

from features.dictionary.outcome import parse_outcome
from features.model.card import (
    IntervalFacts,
    ModelCard,
    OutcomeFacts,
    Population,
    StudiedRange,
)


def make_card(outcome="phq9.acute.response", **changes):
    """Make a card, apart from the changes given."""
    facts = {
        "name": outcome,
        "outcome": OutcomeFacts(**parse_outcome(outcome).describe()),
        "candidate": "elastic_net",
        "data": "real",
        "study": "by-hand",
        "question": "?",
        "created": "2026-01-01T00:00:00+00:00",
        "seed": 1,
        "population": Population(courses=240, events=108, patients=240, sites=1, without_outcome=3),
        "features": (),
        "ranges": (StudiedRange(field="condition", categories=("depression",)),),
        "interval": IntervalFacts(level=0.8, method="by hand", redevelopments=20),
        "performance": {},
        "validation": "by hand",
        "verdict": "Good enough.",
        "data_digest": "0" * 64,
        "versions": {},
    }
    return ModelCard(**(facts | changes))
