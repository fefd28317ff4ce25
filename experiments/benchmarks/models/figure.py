"""The figure of the model benchmark: how much of what could be gained, by number of courses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.methods.methods import CHOSEN, OURS, label_method
from experiments.benchmarks.models.summary import PLACES, Board
from features.base.arrays import Numbers
from features.base.files import write_whole

TITLES = {"known": "at sites learned from", "unseen": "at sites never seen"}
# Some peers fall far below the base rate; how far is in the table.
LOWEST, HIGHEST = -0.5, 1.0
CHOSEN_COLOUR, OUR_COLOUR = "#b00020", "#00588f"
PEER_COLOURS = (
    *("#777777", "#9a7d0a", "#1e8449", "#6c3483"),
    *("#a04000", "#2e86c1", "#34495e", "#c2185b"),
)
# Labels at the lines' ends keep this distance, as a share of the axis.
LINE_HEIGHT = 0.042


def write_figure(board: Board, path: Path) -> None:
    """Draw shares of the attainable gain, write them as PNG."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 5.4), layout="constrained")
        axes = figure.subplots(1, len(PLACES), sharey=True)
    for place, one in zip(PLACES, axes, strict=True):
        draw_panel(one, board, place)
    axes[0].set_ylabel("share of the attainable gain in log loss over the base rate")
    worlds = max((row.worlds for row in board.list_rows()), default=0)
    title = f"SIMULATED patients, mean of {worlds} drawn worlds"
    figure.suptitle(title, x=0.01, ha="left", color=CHOSEN_COLOUR, weight="bold")
    with write_whole(path) as file:
        figure.savefig(file, format="png", dpi=110)


def draw_panel(axes: Any, board: Board, place: str) -> None:
    """Draw each method as a line with its name at the end."""
    rows = [row for row in board.list_rows() if row.place == place and row.share is not None]
    positions = {courses: at for at, courses in enumerate(board.sizes)}
    axes.axhline(0, color="#bbbbbb", linewidth=1)
    ends = []
    for number, name in enumerate(dict.fromkeys(row.method for row in rows)):
        line = [row for row in rows if row.method == name]
        shares = np.clip([row.share or 0 for row in line], LOWEST, HIGHEST)
        colour, style = choose_style(name, number)
        axes.plot([positions[row.courses] for row in line], shares, color=colour, **style)
        below = " ↓" if (line[-1].share or 0) < LOWEST else ""
        ends.append((float(shares[-1]), label_method(name).replace("`", "") + below, colour))
    write_labels(axes, ends, len(positions) - 0.9)
    axes.set_xticks(list(positions.values()), [f"{courses:,}" for courses in positions])
    axes.set(
        ylim=(LOWEST - 0.03, HIGHEST), xlim=(-0.2, 1.45 * len(positions) - 0.9), xlabel="courses"
    )
    axes.set_title(TITLES[place], loc="left", fontsize=10)


def choose_style(name: str, number: int) -> tuple[str, dict[str, Any]]:
    """Choose colour and line: the chosen model strongest, ours dashed, peers thin."""
    if name == CHOSEN:
        return CHOSEN_COLOUR, {"linewidth": 3, "zorder": 3}
    if name in OURS:
        return OUR_COLOUR, {"linewidth": 1.2, "linestyle": "--", "zorder": 4}
    return PEER_COLOURS[number % len(PEER_COLOURS)], {"linewidth": 1.2}


def write_labels(axes: Any, ends: Sequence[tuple[float, str, str]], at: float) -> None:
    """Write names beside the lines' ends, moved apart where they would overlap."""
    ordered = sorted(ends)
    heights = spread_apart(
        np.array([height for height, _, _ in ordered]), LINE_HEIGHT * (HIGHEST - LOWEST)
    )
    for height, (_, label, colour) in zip(heights, ordered, strict=True):
        axes.text(at, height, label, color=colour, va="center", fontsize=8)


def spread_apart(heights: Numbers, distance: float) -> Numbers:
    """Move ascending heights apart, together about where they were.

    Examples
    --------
    >>> spread_apart(np.array([0.0, 0.0, 5.0]), 1.0)
    array([-0.5,  0.5,  5. ])
    """
    moved = heights.copy()
    for _ in range(200):
        for place in range(1, len(moved)):
            lacking = distance - (moved[place] - moved[place - 1])
            if lacking > 0:
                moved[place - 1] -= lacking / 2
                moved[place] += lacking / 2
    return moved
