"""From an assessment to an estimate: the service, batch scoring, and Bentos."""
