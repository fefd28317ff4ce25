"""The calibration curve: whether observed proportions match the estimates."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from training.findings.findings import Bin, CalibrationFacts, CurvePoint, Findings
from training.findings.words import describe_event
from training.report.layout import Figure, Table, make_table
from training.report.numbers import show_count, show_percent
from training.report.svg import (
    Scale,
    clip,
    draw,
    draw_band,
    draw_key,
    draw_line,
    draw_x_axis,
    draw_y_axis,
    frame,
)

# Axes of about the same length, so that equality is the usual diagonal.
_X = Scale(0, 1, 44, 378)
_Y = Scale(0, 1, 414, 70)
_BARS = Scale(0, 1, 530, 474)
_HEIGHT = 540
# The table repeats the curve for screen readers; more rows would not make it clearer.
_MAX_ROWS = 21


def draw_calibration(findings: Findings) -> Figure:
    """Draw the curve with its band, the estimates below it, and bootstrap refits."""
    facts = findings.calibration
    if facts is None:
        return Figure()
    if not facts.points:
        return Figure((_draw_bars_alone(facts),), (_tabulate_bars(facts),))
    drawing = _draw_curve(facts, describe_event(findings.card))
    return Figure((drawing,), (_tabulate_curve(facts), _tabulate_bars(facts)))


def _draw_curve(facts: CalibrationFacts, event: str) -> Markup:
    key = [("model", "the model"), ("band", "pointwise interval"), ("ideal", "perfect calibration")]
    key += [("version", "bootstrap refits")] if facts.versions else []
    inside = [
        draw_line(_place(zip(facts.at, observed, strict=True)), "version")
        for observed in facts.versions
    ]
    inside += [
        draw_line([(_X.start, _Y.start), (_X.end, _Y.end)], "ideal"),
        draw_band(
            [(_X.place(p.estimate), _Y.place(p.high)) for p in facts.points],
            [(_X.place(p.estimate), _Y.place(p.low)) for p in facts.points],
            "band",
        ),
        draw_line(_place((p.estimate, p.observed) for p in facts.points), "model"),
    ]
    return frame(
        "calibration-drawing",
        "Calibration curve",
        "Observed proportion against estimate, with the diagonal of perfect calibration.",
        _HEIGHT,
        draw_key(key),
        draw_x_axis(_X, _Y.start, _Y.end, "estimate"),
        draw_y_axis(_Y, _X.start, _X.end, f"proportion that {event}"),
        clip("calibration", _X, _Y, *inside),
        _draw_bars(facts.histogram, _BARS),
        draw("text", "courses by estimate", x=4, y=468, class_="name", aria_hidden="true"),
    )


def _place(points: Iterator[tuple[float, float | None]]) -> list[tuple[float, float] | None]:
    return [None if y is None else (_X.place(x), _Y.place(y)) for x, y in points]


def _draw_bars(bins: Sequence[Bin], y: Scale) -> Markup:
    # Every bar may be hidden as too small.
    tallest = max((bin_.courses for bin_ in bins), default=0) or 1
    bars = (
        draw(
            "rect",
            x=_X.place(bin_.low) + 0.5,
            y=y.place(bin_.courses / tallest),
            width=max(_X.place(bin_.high) - _X.place(bin_.low) - 1, 1),
            height=y.start - y.place(bin_.courses / tallest),
            class_="bar",
        )
        for bin_ in bins
        if bin_.courses
    )
    floor = draw("line", x1=_X.start, x2=_X.end, y1=y.start, y2=y.start, class_="axis")
    return Markup("").join([*bars, floor])


def _draw_bars_alone(facts: CalibrationFacts) -> Markup:
    return frame(
        "calibration-drawing",
        "Estimates",
        "Number of courses by estimate.",
        170,
        draw("text", "courses by estimate", x=4, y=14, class_="name", aria_hidden="true"),
        draw_x_axis(_X, 130, 126, "estimate"),
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


def _thin_out(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    if len(points) <= _MAX_ROWS:
        return list(points)
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
