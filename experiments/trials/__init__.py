"""Publicly available real trials: how their own files become cohorts."""
