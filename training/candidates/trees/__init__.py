"""Boosted trees, alone and on top of the evidence."""
