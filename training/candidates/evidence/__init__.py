"""Candidates that start from the published evidence."""
