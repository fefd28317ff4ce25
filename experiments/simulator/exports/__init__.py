"""Raw exports of simulated cohorts, as clinics have them, with a known truth."""

from experiments.simulator.exports.shapes import SHAPES, write_export

__all__ = ["SHAPES", "write_export"]
