"""The validation report: one HTML file that needs nothing beside it."""

from training.report.html.page import render_report

__all__ = ["render_report"]
