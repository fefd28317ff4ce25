"""The figure of the serving benchmark: requests a second, and how long one waits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from experiments.benchmarks.figure import CHOSEN_COLOUR, OUR_COLOUR
from experiments.benchmarks.serving_verdicts import Row
from features.files import write_whole

OTHER_COLOUR = "#777777"


def write_figure(rows: Sequence[Row], path: Path) -> None:
    """Draw requests a second and latencies of single estimates, write them as PNG."""
    busy = [row for row in rows if row.connections > 1]
    idle = [row for row in rows if row.connections == 1 and not row.task.startswith("batch")]
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
    draw_rates(left, busy)
    draw_latencies(right, idle)
    title = "SIMULATED patients, one assessment a request, one core for the server"
    figure.suptitle(title, x=0.01, ha="left", color=CHOSEN_COLOUR, weight="bold")
    with write_whole(path) as file:
        figure.savefig(file, format="png", dpi=110)


def draw_rates(axes: Any, rows: Sequence[Row]) -> None:
    """Draw requests a second as bars, each with its number."""
    names = [row.label.replace("`", "") for row in rows]
    bars = axes.barh(names, [row.rate for row in rows], color=[choose_colour(row) for row in rows])
    axes.bar_label(bars, [f"{row.rate:,.0f}" for row in rows], padding=3)
    axes.set(xlabel="requests a second, 16 connections, logarithmic", xscale="log")
    axes.margins(x=0.15)
    axes.invert_yaxis()


def draw_latencies(axes: Any, rows: Sequence[Row]) -> None:
    """Draw from the median to the 99th percentile."""
    for place, row in enumerate(rows):
        colour = choose_colour(row)
        axes.plot([row.p50, row.p99], [place, place], color=colour, linewidth=2)
        axes.plot(row.p50, place, "o", color=colour)
        axes.text(row.p99, place, f"  {row.p50:.2g} to {row.p99:.2g}", va="center")
    axes.set_yticks(range(len(rows)), [row.label.replace("`", "") for row in rows])
    axes.set(xlabel="ms from question to answer, 1 connection: p50 to p99", xscale="log")
    axes.margins(x=0.25)
    axes.invert_yaxis()


def choose_colour(row: Row) -> str:
    """Choose a colour: ours stands out."""
    return OUR_COLOUR if row.task == "ours" else OTHER_COLOUR
