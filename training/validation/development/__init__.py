"""Validation of a study's procedure on its own courses."""
