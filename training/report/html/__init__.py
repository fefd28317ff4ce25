"""The validation report: one HTML file."""
