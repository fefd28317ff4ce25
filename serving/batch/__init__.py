"""Scoring cohort files."""
