"""The decision curve: whether deciding by the model beats treating all, or none."""

from markupsafe import Markup

from training.findings.findings import DecisionFacts, Findings
from training.report.layout import Figure, Table, make_table
from training.report.numbers import show_measure, show_percent
from training.report.svg import (
    Scale,
    clip,
    cover,
    draw_band,
    draw_key,
    draw_line,
    draw_x_axis,
    draw_y_axis,
    frame,
)

_LEFT, _RIGHT, _BOTTOM, _TOP = 48, 382, 334, 92
# Lowest net benefit on the axis: that of treating all falls without limit.
_FLOOR = -0.1
_HEIGHT = 374


def draw_decision(findings: Findings) -> Figure:
    """Draw net benefit of the model, of treating all and of treating none."""
    facts = findings.decision
    if facts is None or not facts.points:
        return Figure()
    return Figure((_draw_benefits(facts),), (_tabulate_decision(facts),))


def _make_scales(facts: DecisionFacts) -> tuple[Scale, Scale]:
    thresholds = [point.threshold for point in facts.points]
    ends = [m for p in facts.points for m in (p.benefit.low, p.benefit.high, p.benefit.value)]
    low, high = cover([*ends, *(p.treat_all.value for p in facts.points)], 0.05, 0.0)
    # A single threshold would be an axis without length.
    across = (thresholds[0], thresholds[-1]) if len(thresholds) > 1 else (0.0, 1.0)
    return Scale(*across, _LEFT, _RIGHT), Scale(max(low, _FLOOR), high, _BOTTOM, _TOP)


def _draw_benefits(facts: DecisionFacts) -> Markup:
    x, y = _make_scales(facts)
    key = [("model", "treat by the model"), ("band", "pointwise interval")]
    key += [("all", "treat all"), ("none", "treat none")]
    key += [("version", "bootstrap refits")] if facts.versions else []
    at = [x.place(point.threshold) for point in facts.points]

    def place(values: list[float | None]) -> list[tuple[float, float] | None]:
        return [
            None if value is None else (left, y.place(value))
            for left, value in zip(at, values, strict=True)
        ]

    band = [
        (left, y.place(point.benefit.low), y.place(point.benefit.high))
        for left, point in zip(at, facts.points, strict=True)
        if point.benefit.low is not None and point.benefit.high is not None
    ]
    lines = [
        *(draw_line(place(list(benefits)), "version") for benefits in facts.versions),
        draw_band([(a, high) for a, _, high in band], [(a, low) for a, low, _ in band], "band"),
        draw_line(place([0.0] * len(at)), "none"),
        draw_line(place([point.treat_all.value for point in facts.points]), "all"),
        draw_line(place([point.benefit.value for point in facts.points]), "model"),
    ]
    return frame(
        "decision-drawing",
        "Decision curve",
        "Net benefit at each threshold of treating by the model, treating all, and treating none.",
        _HEIGHT,
        draw_key(key),
        draw_x_axis(x, _BOTTOM, _TOP, "threshold: treat at this estimate or above"),
        draw_y_axis(y, _LEFT, _RIGHT, "net benefit", percent=False),
        clip("decision", x, y, *lines),
    )


def _tabulate_decision(facts: DecisionFacts) -> Table | None:
    return make_table(
        "Net benefit by threshold; that of treating none is zero",
        ["Threshold", "Treated", "Model", "Treat all", "Standardised", "Gain over the better"],
        (
            [
                show_percent(p.threshold),
                show_percent(p.treated),
                *(show_measure(m) for m in (p.benefit, p.treat_all, p.standardised, p.gain)),
            ]
            for p in facts.points
        ),
    )
