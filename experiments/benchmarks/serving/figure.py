"""The figure of the serving benchmark: requests a second, and how long one waits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from experiments.benchmarks.models.figure import CHOSEN_COLOUR, OUR_COLOUR
from experiments.benchmarks.serving.verdicts import Row
from features.base.files import write_whole

OTHER_COLOUR = "#777777"


def write_figure(rows: Sequence[Row], path: Path) -> None:
    """Draw requests a second and latencies of single estimates, write them as PNG."""
    busy = [row for row in rows if row.connections > 1]
    idle = [row for row in rows if row.connections == 1 and not row.task.startswith("batch")]
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
    draw_rates(left, busy)
    draw_latencies(right, idle)
    title = "SIMULATED patients, one assessment a request, one core for the server"
    figure.suptitle(title, x=0.01, ha="left", color=CHOSEN_COLOUR, weight="bold")
    with write_whole(path) as file:
        figure.savefig(file, format="png", dpi=110)


def draw_rates(axes: Any, rows: Sequence[Row]) -> None:
    """Draw requests a second."""
    for place, row in enumerate(rows):
        axes.plot(row.rate, place, "o", color=choose_colour(row))
        axes.text(row.rate, place, f"   {show(row.rate)}", va="center")
    finish(axes, rows, "requests a second, 16 connections")


def draw_latencies(axes: Any, rows: Sequence[Row]) -> None:
    """Draw from the median to the 99th percentile."""
    for place, row in enumerate(rows):
        axes.plot([row.p50, row.p99], [place, place], color=choose_colour(row), linewidth=2)
        axes.plot(row.p50, place, "o", color=choose_colour(row))
        axes.text(row.p99, place, f"  {show(row.p50)} to {show(row.p99)}", va="center")
    finish(axes, rows, "ms to the answer, 1 connection, p50 to p99")


def finish(axes: Any, rows: Sequence[Row], label: str) -> None:
    """Name the services, from the top, along a logarithmic axis."""
    axes.set_yticks(range(len(rows)), [row.label.replace("`", "") for row in rows])
    axes.set(xlabel=f"{label} (logarithmic)", xscale="log", ylim=(len(rows) - 0.5, -0.5))
    axes.margins(x=0.25)


def show(value: float) -> str:
    """Show a value with about two digits.

    Examples
    --------
    >>> show(1234.5), show(0.27)
    ('1,234', '0.27')
    """
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def choose_colour(row: Row) -> str:
    """Choose a colour: ours stands out."""
    return OUR_COLOUR if row.task == "ours" else OTHER_COLOUR
