"""The figure of the benchmark of real trials: a forest plot of differences from the base rate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.charts import EMPHASIS, draw_panels
from experiments.benchmarks.results import Result
from training.candidates.registry import BASE_RATE, colour_candidate, label_candidate

_PANELS = {"log_loss_gap": "log loss", "brier_gap": "Brier score"}
_SERVED = "served"
_REACH = 1.96  # standard errors on each side: 95% of a normal distribution


def draw_forest(results: Sequence[Result], path: Path) -> None:
    """Draw each trial's candidates against the base rate as PNG."""
    with draw_panels(path, (11, 1.6 + 0.62 * len(results)), len(_PANELS)) as (figure, panels):
        for axes, (gap, label) in zip(panels, _PANELS.items(), strict=True):
            for index, result in enumerate(results):
                _draw_trial(axes, result, gap, index)
            axes.axvline(0, color="#555555", linewidth=1)
            axes.set_xlabel(f"{label} minus the base rate's (95% interval)\nbelow 0 is better")
            axes.locator_params(axis="x", nbins=6)
        panels[0].set_yticks(range(len(results)), [_label_trial(result) for result in results])
        panels[0].set_ylim(len(results) - 0.5, -0.5)
        handles, labels = panels[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        figure.legend(
            unique.values(), unique.keys(), loc="outside upper left", ncols=3, frameon=False
        )


def _draw_trial(axes: Any, result: Result, gap: str, index: int) -> None:
    drawn: Mapping[str, Any] = {
        **{name: scores for name, scores in result["candidates"].items() if name != BASE_RATE},
        _SERVED: result["nested"][_SERVED],
    }
    if index % 2:
        axes.axhspan(index - 0.5, index + 0.5, color="#f2f2f2", linewidth=0)
    for number, (name, scores) in enumerate(drawn.items()):
        served = name == _SERVED
        axes.errorbar(
            scores[gap]["mean"],
            index + 0.75 * ((number + 0.5) / len(drawn) - 0.5),
            xerr=_REACH * scores[gap]["error"],
            fmt="D" if served else "o",
            markersize=4,
            linewidth=1.2,
            color=EMPHASIS if served else colour_candidate(name),
            label="what fit serves, decided inside the folds" if served else label_candidate(name),
        )


def _label_trial(result: Result) -> str:
    name = result["name"].replace("_", " ").replace(" after ", "\nafter ")
    events = f"{result['events']} of {result['courses']} respond"
    return f"{name}, {result['hold_out']}s held out\n{events}"
