"""The figure of the model benchmark: share of the attainable gain by number of courses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.charts import EMPHASIS, OURS_COLOUR, draw_panels
from experiments.benchmarks.methods.methods import CHOSEN, OURS, label_method
from experiments.benchmarks.models.summary import SITE_KINDS
from features.base.arrays import Numbers

_TITLES = {"known": "at the training sites", "unseen": "at new sites"}
# Some peers fall far below the base rate; the table says how far.
_LOWEST, _HIGHEST = -0.5, 1.0
_PEER_COLOURS = (
    *("#777777", "#9a7d0a", "#1e8449", "#6c3483"),
    *("#a04000", "#2e86c1", "#34495e", "#c2185b"),
)
# Distance between the labels at the lines' ends, as a share of the axis.
_LINE_HEIGHT = 0.042


def draw_shares(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw each method's share of the attainable gain as PNG, from the summaries of all."""
    worlds = max((row["worlds"] for row in rows), default=0)
    title = f"SIMULATED patients, mean of {worlds} drawn worlds"
    with draw_panels(path, (11, 5.4), len(SITE_KINDS), title) as (_, panels):
        for kind, axes in zip(SITE_KINDS, panels, strict=True):
            _draw_lines(axes, rows, kind)
        panels[0].set_ylabel("share of the attainable gain in log loss over the base rate")


def _draw_lines(axes: Any, rows: Sequence[Mapping[str, Any]], kind: str) -> None:
    sizes = sorted({row["courses"] for row in rows})
    positions = {courses: index for index, courses in enumerate(sizes)}
    rows = [row for row in rows if row["place"] == kind and row["share"] is not None]
    axes.axhline(0, color="#bbbbbb", linewidth=1)
    ends: list[tuple[float, str, str]] = []
    for number, name in enumerate(dict.fromkeys(row["method"] for row in rows)):
        line = [row for row in rows if row["method"] == name]
        shares = np.clip([row["share"] for row in line], _LOWEST, _HIGHEST)
        colour, style = _choose_style(name, number)
        axes.plot([positions[row["courses"]] for row in line], shares, color=colour, **style)
        below = " ↓" if line[-1]["share"] < _LOWEST else ""
        ends.append((float(shares[-1]), label_method(name).replace("`", "") + below, colour))
    _write_labels(axes, ends, len(positions) - 0.9)
    axes.set_xticks(list(positions.values()), [f"{courses:,}" for courses in positions])
    axes.set(
        ylim=(_LOWEST - 0.03, _HIGHEST), xlim=(-0.2, 1.45 * len(positions) - 0.9), xlabel="courses"
    )
    axes.set_title(_TITLES[kind], loc="left", fontsize=10)


def _choose_style(name: str, number: int) -> tuple[str, dict[str, Any]]:
    if name == CHOSEN:
        return EMPHASIS, {"linewidth": 3, "zorder": 3}
    if name in OURS:
        return OURS_COLOUR, {"linewidth": 1.2, "linestyle": "--", "zorder": 4}
    return _PEER_COLOURS[number % len(_PEER_COLOURS)], {"linewidth": 1.2}


def _write_labels(axes: Any, ends: Sequence[tuple[float, str, str]], position: float) -> None:
    ordered = sorted(ends)
    heights = spread_apart(
        np.array([height for height, _, _ in ordered]), _LINE_HEIGHT * (_HIGHEST - _LOWEST)
    )
    for height, (_, label, colour) in zip(heights, ordered, strict=True):
        axes.text(position, height, label, color=colour, va="center", fontsize=8)


def spread_apart(heights: Numbers, distance: float) -> Numbers:
    """Move ascending heights apart, keeping the centre of each crowd.

    Examples
    --------
    >>> spread_apart(np.array([0.0, 0.0, 5.0]), 1.0)
    array([-0.5,  0.5,  5. ])
    """
    moved = heights.copy()
    for _ in range(200):  # each sweep pushes neighbours by half of what they lack: it converges
        for index in range(1, len(moved)):
            lacking = distance - (moved[index] - moved[index - 1])
            if lacking > 0:
                moved[index - 1] -= lacking / 2
                moved[index] += lacking / 2
    return moved
