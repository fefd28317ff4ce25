"""Workbooks: their sheets, and what the library that reads them does not report."""
