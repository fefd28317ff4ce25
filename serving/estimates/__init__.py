"""From validated columns to estimates, by the champions at hand."""
