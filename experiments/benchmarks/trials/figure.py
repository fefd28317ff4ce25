"""The figure of the benchmark of real trials: a forest plot of differences to the base rate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from experiments.benchmarks.results import Result
from features.base.files import write_whole
from training.candidates.registry import BASE_RATE, colour_candidate, label_candidate

PANELS = {"log_loss_gap": "log loss", "brier_gap": "Brier score"}
SERVED, SERVED_COLOUR = "served", "#b00020"
# 95 % of a normal distribution.
REACH = 1.96


def write_figure(results: Sequence[Result], path: Path) -> None:
    """Draw each trial's candidates against the base rate, and write them as PNG."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 1.6 + 0.62 * len(results)), layout="constrained")
        panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (gap, label) in zip(panels, PANELS.items(), strict=True):
        for place, one in enumerate(results):
            draw_trial(axes, one, gap, place)
        axes.axvline(0, color="#555555", linewidth=1)
        axes.set_xlabel(f"{label} less that of the base rate (95 % interval)\nbelow 0 is better")
        axes.locator_params(axis="x", nbins=6)
    panels[0].set_yticks(range(len(results)), [label_trial(one) for one in results])
    panels[0].set_ylim(len(results) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper left", ncols=3, frameon=False)
    with write_whole(path) as file:
        figure.savefig(file, format="png", dpi=110)


def draw_trial(axes: Any, one: Result, gap: str, place: int) -> None:
    """Draw one trial's candidates below each other, with 95 % intervals, and what is served."""
    drawn: Mapping[str, Any] = {
        **{name: found for name, found in one["candidates"].items() if name != BASE_RATE},
        SERVED: one["nested"][SERVED],
    }
    if place % 2:
        axes.axhspan(place - 0.5, place + 0.5, color="#f2f2f2", linewidth=0)
    for number, (name, found) in enumerate(drawn.items()):
        served = name == SERVED
        axes.errorbar(
            found[gap]["mean"],
            place + 0.75 * ((number + 0.5) / len(drawn) - 0.5),
            xerr=REACH * found[gap]["error"],
            fmt="D" if served else "o",
            markersize=4,
            linewidth=1.2,
            color=SERVED_COLOUR if served else colour_candidate(name),
            label="what fit serves, decided inside the folds" if served else label_candidate(name),
        )


def label_trial(one: Result) -> str:
    """Tell which trial it is, and how many courses it has."""
    name = one["name"].replace("_", " ").replace(" after ", "\nafter ")
    return f"{name}, {one['hold_out']}s held out\n{one['events']} of {one['courses']} respond"
