"""Measures of validation: pure functions, each checked against R.

TRIPOD+AI (2024) and PROBAST+AI (2025) ask for them. docs/reference/measures.md defines each one and
says how closely it agrees.
"""
