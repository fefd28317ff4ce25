"""Findings: what validation computed, and what follows from it."""
