"""Figures of a run: who ranks, who is calibrated, what moves the estimate."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.model.card import ModelCard
from features.model.equation import Equation
from training.findings.comparison import BASE_RATE, Comparison
from training.measures.predictions import Predictions
from training.report.markdown import label_candidate
from training.study.design import Design

GROUPS = 10
FEWEST_A_GROUP = 20
# Estimates nearer than this are one group: the base rate differs a little from fold to fold.
ALIKE = 0.02
COLOURS = {
    "evidence_prior": "#7b3294",
    "anchored_xgboost": "#0b7a75",
    "base_rate": "#767676",
    "severity_only": "#b35900",
    "elastic_net": "#00588f",
    "xgboost": "#3f7d20",
}


def draw_figures(
    card: ModelCard, design: Design, comparison: Comparison, equation: Equation, folder: Path
) -> None:
    """Draw every figure into a folder, as PNG."""
    figures = {"contributions": draw_contributions(equation, design)}
    if comparison.is_measured:
        figures["roc"] = draw_roc(comparison)
        figures["calibration"] = draw_calibration(comparison, design.outcome)
    for name, figure in figures.items():
        if card.simulated:
            figure.text(
                0.99,
                0.01,
                "SIMULATED DATA",
                ha="right",
                va="bottom",
                color="#b00020",
                weight="bold",
            )
        figure.savefig(folder / f"{name}.png", dpi=130)


def make_axes(title: str, width: float = 5.6) -> tuple[Figure, Any]:
    """Make a figure with one pair of axes, outside pyplot's global state."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(width, 4.6), layout="constrained")
        axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10)
    return figure, axes


def draw_roc(comparison: Comparison) -> Figure:
    """Draw each candidate's ROC curve over all repeats; the AUC beside it is within folds."""
    figure, axes = make_axes("Ranking of patients not learned from")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, label="chance")
    for name, held_out in comparison.held_out.items():
        if name != BASE_RATE:
            false, true = trace_roc(held_out.log_odds, held_out.outcome)
            auc = comparison.measures[name]["auc"].value or np.nan
            label = f"{label_candidate(name)}, AUC {auc:.2f}"
            axes.plot(false, true, color=COLOURS[name], label=label)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def trace_roc(log_odds: Numbers, outcome: Numbers) -> tuple[Numbers, Numbers]:
    """Trace false and true positive rates over all thresholds.

    Examples
    --------
    >>> trace_roc(np.array([2.0, 1.0]), np.array([1.0, 0.0]))
    (array([0., 0., 1.]), array([0., 1., 1.]))
    """
    order = np.argsort(-log_odds, kind="stable")
    last_of_ties = np.append(np.diff(log_odds[order]) != 0, True)
    true = np.cumsum(outcome[order])[last_of_ties] / outcome.sum()
    false = np.cumsum(1 - outcome[order])[last_of_ties] / (1 - outcome).sum()
    return np.append(0.0, false), np.append(0.0, true)


def draw_calibration(comparison: Comparison, outcome: Numbers) -> Figure:
    """Draw observed against estimated shares of the chosen candidate and the base rate."""
    figure, axes = make_axes("Calibration on patients not learned from")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, label="perfect")
    for name in dict.fromkeys((BASE_RATE, comparison.chosen)):
        estimated = average_probability(comparison.held_out[name])
        for number, group in enumerate(group_patients(estimated)):
            share, low, high = estimate_share(outcome[group])
            axes.errorbar(
                estimated[group].mean(),
                share,
                yerr=[[share - low], [high - share]],
                fmt="o",
                color=COLOURS[name],
                label=None if number else f"{label_candidate(name)}, 95 % interval",
            )
        axes.hist(
            estimated, bins=40, range=(0, 1), weights=np.full(len(estimated), 0.2 / len(estimated)),
            color=COLOURS[name], alpha=0.35,
        )  # fmt: skip
    axes.set(xlabel="estimated probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left", frameon=False)
    return figure


def average_probability(predictions: Predictions) -> Numbers:
    """Average each course's probability over repeats."""
    average: Numbers = predictions.by_repeat(predictions.probability).mean(axis=0)
    return average


def group_patients(estimated: Numbers) -> Iterator[NDArray[np.int64]]:
    """Group patients by estimate, at least 20 a group, one group where all are alike."""
    groups = (
        1 if np.ptp(estimated) < ALIKE else max(1, min(GROUPS, len(estimated) // FEWEST_A_GROUP))
    )
    yield from np.array_split(np.argsort(estimated, kind="stable"), groups)


def estimate_share(outcome: Numbers) -> tuple[float, float, float]:
    """Estimate a share with Wilson's 95 % interval.

    Examples
    --------
    >>> [round(x, 3) for x in estimate_share(np.array([1.0] * 6 + [0.0] * 23))]
    [0.207, 0.098, 0.384]
    """
    count, share, z = len(outcome), float(outcome.mean()), 1.959964
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return share, float(centre - spread), float(centre + spread)


def draw_contributions(equation: Equation, design: Design) -> Figure:
    """Draw how far each field moves the log-odds of a typical patient, up or down."""
    figure, axes = make_axes("What moves the estimate (log-odds)", width=7.2)
    sizes = summarise_contributions(equation, design)
    if not sizes:
        axes.text(0.5, 0.5, "nothing: everyone gets the base rate", ha="center")
        axes.set_axis_off()
        return figure
    names = sorted(sizes, key=lambda name: sizes[name])[-20:]
    fields = design.columns.dictionary.cohort_fields
    labels = [fields[name].label for name in names]
    axes.barh(labels, [sizes[name] for name in names], color="#00588f")
    axes.set_xlabel("mean distance from the average patient")
    return figure


def summarise_contributions(equation: Equation, design: Design) -> Mapping[str, float]:
    """Return each field's mean absolute contribution, fields without any left out."""
    explanation = equation.explain(design.described.columns)
    sizes = np.abs(explanation.contributions).mean(axis=0)
    return {n: float(s) for n, s in zip(explanation.fields, sizes, strict=True) if s > 0}
