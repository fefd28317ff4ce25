"""The figure of the serving benchmark: requests per second, and latency."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.charts import OTHERS_COLOUR, OURS_COLOUR, draw_panels
from experiments.benchmarks.serving.verdicts import SpeedRow


def draw_speeds(rows: Sequence[SpeedRow], path: Path) -> None:
    """Draw requests per second and latencies of single estimates as PNG."""
    busy = [row for row in rows if row.connections > 1]
    idle = [row for row in rows if row.connections == 1 and not row.task.startswith("batch")]
    title = "SIMULATED patients, one assessment per request, one core for the server"
    with draw_panels(path, (11, 3.2), 2, title) as (_, (left, right)):
        for index, row in enumerate(busy):
            left.plot(row.rate, index, "o", color=_choose_colour(row))
            left.text(row.rate, index, f"   {show_digits(row.rate)}", va="center")
        _label_axes(left, busy, "requests per second, 16 connections")
        for index, row in enumerate(idle):
            right.plot([row.p50, row.p99], [index] * 2, color=_choose_colour(row), linewidth=2)
            right.plot(row.p50, index, "o", color=_choose_colour(row))
            limits = f"  {show_digits(row.p50)} to {show_digits(row.p99)}"
            right.text(row.p99, index, limits, va="center")
        _label_axes(right, idle, "ms to the answer, 1 connection, p50 to p99")


def _label_axes(axes: Any, rows: Sequence[SpeedRow], label: str) -> None:
    axes.set_yticks(range(len(rows)), [row.label.replace("`", "") for row in rows])
    axes.set(xlabel=f"{label} (logarithmic)", xscale="log", ylim=(len(rows) - 0.5, -0.5))
    axes.margins(x=0.25)


def show_digits(value: float) -> str:
    """Format a value with about two digits.

    Examples
    --------
    >>> show_digits(1234.5), show_digits(0.27)
    ('1,234', '0.27')
    """
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _choose_colour(row: SpeedRow) -> str:
    return OURS_COLOUR if row.task == "ours" else OTHERS_COLOUR
