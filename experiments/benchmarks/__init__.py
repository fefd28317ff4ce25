"""Benchmarks: what is claimed of the project, measured by one command each."""
