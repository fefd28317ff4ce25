"""What the figures of all benchmarks share: style, title, colours, file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from features.base.files import open_atomic

EMPHASIS, OURS_COLOUR, OTHERS_COLOUR = "#b00020", "#00588f", "#777777"
_STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


@contextmanager
def draw_panels(
    path: Path, size: tuple[float, float], panels: int, title: str = ""
) -> Iterator[tuple[Any, Any]]:
    """Draw panels side by side within the block, then write them as PNG; gives figure and axes."""
    # The style holds when axes are made, and must not leak into other figures.
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, panels, sharey=True)
    if title:
        figure.suptitle(title, x=0.01, ha="left", color=EMPHASIS, weight="bold")
    yield figure, axes
    with open_atomic(path) as file:
        figure.savefig(file, format="png", dpi=110)
