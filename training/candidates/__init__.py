"""Candidates: the kinds of model that a study compares."""
