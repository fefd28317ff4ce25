"""From columns to an estimate: matrix, terms, equation, card, artifact."""
