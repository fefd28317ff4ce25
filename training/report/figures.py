"""Figures of a run in MLflow: ROC curves, and the contributions of fields.

The calibration curve is in the HTML report, which the run holds as well.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from features.model.card import ModelCard
from features.model.equation import Equation
from training.candidates.registry import BASE_RATE, colour_candidate, label_candidate
from training.findings.comparison import Comparison
from training.study.design import Design
from training.study.study import Study


def save_figures(
    card: ModelCard, design: Design, comparison: Comparison, equation: Equation, folder: Path
) -> None:
    """Draw every figure into a folder, as PNG."""
    figures = {"contributions": _draw_contributions(card, equation, design)}
    if comparison.is_measured:
        figures["roc"] = _draw_roc(comparison, design.study)
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


def _make_axes(title: str, width: float = 5.6) -> tuple[Figure, Any]:
    # Without pyplot, whose global state keeps every figure until it is closed.
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(width, 4.6), layout="constrained")
        axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10)
    return figure, axes


def _draw_roc(comparison: Comparison, study: Study) -> Figure:
    # Curves are pooled over folds, but the AUC in the legend is within folds, as everywhere else.
    figure, axes = _make_axes("ROC curves on held-out courses")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, label="chance")
    for name, held_out in comparison.held_out.items():
        if name != BASE_RATE:
            false, true, _ = roc_curve(held_out.outcome, held_out.log_odds, drop_intermediate=False)
            auc = comparison.measures[name]["auc"].value or np.nan
            label = f"{label_candidate(name, study)}, AUC {auc:.2f}"
            axes.plot(false, true, color=colour_candidate(name, study), label=label)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _draw_contributions(card: ModelCard, equation: Equation, design: Design) -> Figure:
    figure, axes = _make_axes("Contributions of fields to the log-odds", width=7.2)
    sizes = _summarise_contributions(equation, design)
    if not sizes:
        reason = card.factors_reason or "none: every patient gets the base rate"
        axes.text(0.5, 0.5, reason, ha="center", wrap=True)
        axes.set_axis_off()
        return figure
    # The 20 largest, which are legible; barh draws upwards, so the largest comes last.
    names = sorted(sizes, key=lambda name: sizes[name])[-20:]
    fields = design.columns.dictionary.cohort_fields
    labels = [fields[name].label for name in names]
    axes.barh(labels, [sizes[name] for name in names], color="#00588f")
    axes.set_xlabel("mean absolute contribution")
    return figure


def _summarise_contributions(equation: Equation, design: Design) -> Mapping[str, float]:
    explanation = equation.explain(design.described.columns)
    sizes = np.abs(explanation.contributions).mean(axis=0)
    return {n: float(s) for n, s in zip(explanation.fields, sizes, strict=True) if s > 0}
