"""The decision curve: whether choosing by the model is worth more than treating all, or none."""

from markupsafe import Markup

from training.findings.findings import DecisionFacts, Findings
from training.findings.words import TESTED_ON
from training.report.html.figure import Figure
from training.report.html.numbers import show_measure, show_share
from training.report.html.svg import (
    Scale,
    cover,
    cut,
    draw_across,
    draw_band,
    draw_key,
    draw_line,
    draw_up,
    frame,
)
from training.report.html.table import Table, make_table

HEADING = "Is choosing by the model worth more than treating all, or none?"
LEFT, RIGHT, BOTTOM, TOP = 48, 382, 334, 92
# How far below nothing the axis goes: treating all may fall without end.
FLOOR = -0.1
HEIGHT = 374


def draw_decision(findings: Findings) -> Figure:
    """Draw net benefit of the model, of treating all and of treating none."""
    facts = findings.decision
    if facts is None or not facts.points:
        return Figure("decision", HEADING, Markup("No decision curve was drawn: not measured."))
    return Figure(
        "decision", HEADING, caption_decision(facts), (draw_benefits(facts),), (tabulate(facts),)
    )


def make_scales(facts: DecisionFacts) -> tuple[Scale, Scale]:
    """Make axes that hold every line, down to the floor."""
    thresholds = [point.threshold for point in facts.points]
    ends = [m for p in facts.points for m in (p.benefit.low, p.benefit.high, p.benefit.value)]
    low, high = cover([*ends, *(p.treat_all.value for p in facts.points)], 0.05, 0.0)
    across = (thresholds[0], thresholds[-1]) if len(thresholds) > 1 else (0.0, 1.0)
    return Scale(*across, LEFT, RIGHT), Scale(max(low, FLOOR), high, BOTTOM, TOP)


def draw_benefits(facts: DecisionFacts) -> Markup:
    """Draw the lines."""
    x, y = make_scales(facts)
    key = [("model", "treat by the model"), ("band", "its interval, point by point")]
    key += [("all", "treat all"), ("none", "treat none")]
    key += [("version", "re-developed versions")] if facts.versions else []
    at = [x.place(point.threshold) for point in facts.points]

    def place(values: list[float | None]) -> list[tuple[float, float] | None]:
        return [
            None if up is None else (left, y.place(up))
            for left, up in zip(at, values, strict=True)
        ]  # fmt: skip

    band = [
        (left, y.place(point.benefit.low), y.place(point.benefit.high))
        for left, point in zip(at, facts.points, strict=True)
        if point.benefit.low is not None and point.benefit.high is not None
    ]
    lines = [
        *(draw_line(place(list(one)), "version") for one in facts.versions),
        draw_band([(a, high) for a, _, high in band], [(a, low) for a, low, _ in band], "band"),
        draw_line(place([0.0] * len(at)), "none"),
        draw_line(place([point.treat_all.value for point in facts.points]), "all"),
        draw_line(place([point.benefit.value for point in facts.points]), "model"),
    ]
    return frame(
        "decision-drawing",
        "Decision curve",
        "Net benefit at each threshold of treating by the model, treating all, and treating none.",
        HEIGHT,
        draw_key(key),
        draw_across(x, BOTTOM, TOP, "threshold: treat from this estimate upwards"),
        draw_up(y, LEFT, RIGHT, "net benefit", share=False),
        cut("decision", x, y, *lines),
    )


def caption_decision(facts: DecisionFacts) -> Markup:
    """Say how to read it."""
    better = [p for p in facts.points if p.gain.low is not None and p.gain.low > 0]
    seen = (
        Markup("Choosing by the model is better, beyond chance, at a threshold of {}.").format(
            Markup(", ").join(show_share(point.threshold) for point in better)
        )
        if better
        else "At no threshold was choosing by the model better than both, beyond chance."
    )
    return Markup(
        "Tested on {}. Net benefit is the share who are treated and respond, less those treated in "
        "vain, each of these counted by the odds of the threshold. The model is worth using at "
        "thresholds where its line is above both others. {} Every response is taken as owed to the "
        "treatment, as nobody can tell here who would have responded without it: this compares "
        "ways to choose, and does not show that treatment helps."
    ).format(TESTED_ON[facts.way], seen)


def tabulate(facts: DecisionFacts) -> Table:
    """List every threshold."""
    return make_table(
        "Net benefit by threshold; treating none is worth nothing",
        ["Threshold", "Treated", "By the model", "Treat all", "Standardised", "Gain over both"],
        (
            [
                show_share(p.threshold),
                show_share(p.treated),
                *(show_measure(one) for one in (p.benefit, p.treat_all, p.standardised, p.gain)),
            ]
            for p in facts.points
        ),
    )
