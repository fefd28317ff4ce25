"""Calibration, decision and instability: three charts of estimates, and their numbers."""

from collections.abc import Sequence

from markupsafe import Markup

from training.findings.findings import (
    Bin,
    CalibrationFacts,
    CurvePoint,
    DecisionFacts,
    Findings,
    InstabilityFacts,
)
from training.findings.words import describe_event
from training.report.chart import Chart
from training.report.layout import Figure, Table, make_table
from training.report.numbers import show_count, show_measure, show_percent, show_points
from training.report.svg import Scale, cover, draw, draw_x_axis, frame

# Axes of about the same length, so that equality is the usual diagonal.
_ESTIMATES = Scale(0, 1, 44, 378)
_OBSERVED = Scale(0, 1, 414, 70)
_REFITS = Scale(0, 1, 400, 56)
_BARS = Scale(0, 1, 530, 474)
# The table repeats the curve for screen readers; more rows would not make it clearer.
_MAX_ROWS = 21
# Lowest net benefit on the axis: that of treating all falls without limit.
_FLOOR = -0.1
_CAP = 4


def draw_calibration(findings: Findings) -> Figure:
    """Draw the calibration curve with its band, the estimates below it, and bootstrap refits."""
    facts = findings.calibration
    if facts is None:
        return Figure()
    if not facts.points:
        return Figure((_draw_bars_alone(facts),), (_tabulate_bars(facts),))
    drawing = _draw_calibration_curve(facts, describe_event(findings.card))
    return Figure((drawing,), (_tabulate_curve(facts), _tabulate_bars(facts)))


def _draw_calibration_curve(facts: CalibrationFacts, event: str) -> Markup:
    chart = Chart(_ESTIMATES, _OBSERVED, "estimate", f"proportion that {event}")
    key = [("model", "the model"), ("band", "pointwise interval"), ("ideal", "perfect calibration")]
    key += [("version", "bootstrap refits")] if facts.versions else []
    lines = [
        *(chart.draw_line(zip(facts.at, line, strict=True), "version") for line in facts.versions),
        chart.draw_diagonal(),
        chart.draw_band([(point.estimate, point.low, point.high) for point in facts.points]),
        chart.draw_line([(point.estimate, point.observed) for point in facts.points], "model"),
    ]
    return chart.frame(
        "calibration",
        "Calibration curve",
        "Observed proportion against estimate, with the diagonal of perfect calibration.",
        540,
        key,
        lines,
        _draw_bars(facts.histogram, _BARS),
        draw("text", "courses by estimate", x=4, y=468, class_="name", aria_hidden="true"),
    )


def _draw_bars(bins: Sequence[Bin], y: Scale) -> Markup:
    x = _ESTIMATES
    # Every bar may be hidden as too small.
    tallest = max((bin_.courses for bin_ in bins), default=0) or 1
    bars = (
        draw(
            "rect",
            x=x.place(bin_.low) + 0.5,
            y=y.place(bin_.courses / tallest),
            width=max(x.place(bin_.high) - x.place(bin_.low) - 1, 1),
            height=y.start - y.place(bin_.courses / tallest),
            class_="bar",
        )
        for bin_ in bins
        if bin_.courses
    )
    floor = draw("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis")
    return Markup("").join([*bars, floor])


def _draw_bars_alone(facts: CalibrationFacts) -> Markup:
    return frame(
        "calibration-drawing",
        "Estimates",
        "Number of courses by estimate.",
        170,
        draw("text", "courses by estimate", x=4, y=14, class_="name", aria_hidden="true"),
        draw_x_axis(_ESTIMATES, 130, 126, "estimate"),
        _draw_bars(facts.histogram, Scale(0, 1, 130, 24)),
    )


def _tabulate_curve(facts: CalibrationFacts) -> Table | None:
    return make_table(
        "Points of the calibration curve",
        ["Estimate", "Observed", "from", "to"],
        (
            [show_percent(x, 1) for x in (p.estimate, p.observed, p.low, p.high)]
            for p in _thin_out(facts.points)
        ),
    )


def _thin_out(points: Sequence[CurvePoint]) -> Sequence[CurvePoint]:
    if len(points) <= _MAX_ROWS:
        return points
    last = _MAX_ROWS - 1
    return [points[round(n * (len(points) - 1) / last)] for n in range(_MAX_ROWS)]


def _tabulate_bars(facts: CalibrationFacts) -> Table | None:
    return make_table(
        "Courses by estimate",
        ["From", "to", "Courses"],
        (
            [show_percent(bin_.low), show_percent(bin_.high), show_count(bin_.courses)]
            for bin_ in facts.histogram
        ),
    )


def draw_decision(findings: Findings) -> Figure:
    """Draw net benefit of the model, of treating all and of treating none."""
    facts = findings.decision
    if facts is None or not facts.points:
        return Figure()
    return Figure((_draw_benefits(facts),), (_tabulate_decision(facts),))


def _draw_benefits(facts: DecisionFacts) -> Markup:
    x, y = _make_scales(facts)
    chart = Chart(x, y, "threshold: treat at this estimate or above", "net benefit", percent=False)
    key = [("model", "treat by the model"), ("band", "pointwise interval")]
    key += [("all", "treat all"), ("none", "treat none")]
    key += [("version", "bootstrap refits")] if facts.versions else []
    points, at = facts.points, [point.threshold for point in facts.points]
    band = [
        (point.threshold, point.benefit.low, point.benefit.high)
        for point in points
        if point.benefit.low is not None and point.benefit.high is not None
    ]
    lines = [
        *(chart.draw_line(zip(at, line, strict=True), "version") for line in facts.versions),
        chart.draw_band(band),
        chart.draw_line([(threshold, 0.0) for threshold in at], "none"),
        chart.draw_line([(point.threshold, point.treat_all.value) for point in points], "all"),
        chart.draw_line([(point.threshold, point.benefit.value) for point in points], "model"),
    ]
    return chart.frame(
        "decision",
        "Decision curve",
        "Net benefit at each threshold of treating by the model, treating all, and treating none.",
        374,
        key,
        lines,
    )


def _make_scales(facts: DecisionFacts) -> tuple[Scale, Scale]:
    thresholds = [point.threshold for point in facts.points]
    ends = [m for p in facts.points for m in (p.benefit.low, p.benefit.high, p.benefit.value)]
    low, high = cover([*ends, *(p.treat_all.value for p in facts.points)], 0.05, 0.0)
    # A single threshold would be an axis without length.
    across = (thresholds[0], thresholds[-1]) if len(thresholds) > 1 else (0.0, 1.0)
    return Scale(*across, 48, 382), Scale(max(low, _FLOOR), high, 334, 92)


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


def draw_instability(findings: Findings) -> Figure:
    """Draw each band's estimate against the limits of its bootstrap refits."""
    facts = findings.instability
    if facts is None or not facts.versions or not facts.bands:
        return Figure()
    return Figure((_draw_bands(facts),), (_tabulate_bands(facts),))


def _draw_bands(facts: InstabilityFacts) -> Markup:
    chart, drawn = Chart(_ESTIMATES, _REFITS, "estimate", "estimate by refits"), []
    for band in facts.bands:
        x, ends = chart.x.place(band.estimate), [chart.y.place(y) for y in (band.low, band.high)]
        drawn += [
            draw("line", x1=x, x2=x, y1=ends[0], y2=ends[1], class_="whisker"),
            *(draw("line", x1=x - _CAP, x2=x + _CAP, y1=y, y2=y, class_="whisker") for y in ends),
            draw("circle", cx=x, cy=chart.y.place(band.estimate), r=3.5, class_="mark"),
        ]
    return chart.frame(
        "instability",
        "Instability of estimates",
        "For courses with similar estimates, the limits of the estimates by refits of the model.",
        440,
        [("whisker", "limits of the refits"), ("ideal", "the model itself")],
        [chart.draw_diagonal()],
        *drawn,
    )


def _tabulate_bands(facts: InstabilityFacts) -> Table | None:
    return make_table(
        "Courses with similar estimates",
        ["Mean estimate", "Courses", "Refits from", "to", "Mean difference"],
        (
            [
                show_percent(band.estimate, 1),
                show_count(band.courses),
                show_percent(band.low, 1),
                show_percent(band.high, 1),
                show_points(band.error),
            ]
            for band in facts.bands
        ),
    )
