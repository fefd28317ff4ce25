"""Validation of a registered model on another cohort."""
