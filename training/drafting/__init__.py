"""Drafts of mappings: what the columns of an export may be, for an analyst to confirm."""
