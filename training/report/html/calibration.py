"""The calibration curve: whether as many respond as were told."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from training.findings.findings import Bin, CalibrationFacts, CurvePoint, Findings
from training.findings.words import TESTED_ON, tell_outcome
from training.report.html.figure import Figure
from training.report.html.numbers import show_count, show_share
from training.report.html.svg import (
    Scale,
    cut,
    draw,
    draw_across,
    draw_band,
    draw_key,
    draw_line,
    draw_up,
    frame,
)
from training.report.html.table import Table, make_table

HEADING = "Do as many respond as were told?"
X = Scale(0, 1, 44, 378)
Y = Scale(0, 1, 414, 70)
BARS = Scale(0, 1, 530, 474)
HEIGHT = 540
MOST_ROWS = 21


def draw_calibration(findings: Findings) -> Figure:
    """Draw the curve with its band, the estimates below it, and re-developed versions."""
    facts = findings.calibration
    if facts is None:
        return Figure("calibration", HEADING, Markup("Calibration was not drawn: not measured."))
    if not facts.points:
        caption = Markup(
            "No curve: everybody gets nearly the same estimate, or too few courses were tested. "
            "The bars count the courses by their estimate."
        )
        return Figure(
            "calibration", HEADING, caption, (draw_bars_alone(facts),), (tabulate_bars(facts),)
        )
    drawing = draw_curve(facts, tell_outcome(findings.card))
    tables = tabulate_curve(facts), tabulate_bars(facts)
    return Figure("calibration", HEADING, caption_curve(facts), (drawing,), tables)


def draw_curve(facts: CalibrationFacts, came_true: str) -> Markup:
    """Draw curve and bars one above the other, on one axis."""
    key = [("model", "the model"), ("band", "its interval, point by point")]
    key += [("ideal", "as many as were told")]
    key += [("version", "re-developed versions")] if facts.versions else []
    inside = [
        draw_line(trace(zip(facts.at, one, strict=True)), "version") for one in facts.versions
    ]
    inside += [
        draw_line([(X.start, Y.start), (X.end, Y.end)], "ideal"),
        draw_band(
            [(X.place(p.estimate), Y.place(p.high)) for p in facts.points],
            [(X.place(p.estimate), Y.place(p.low)) for p in facts.points],
            "band",
        ),
        draw_line(trace((p.estimate, p.observed) for p in facts.points), "model"),
    ]
    return frame(
        "calibration-drawing",
        "Calibration curve",
        "Share observed against the estimate, with the diagonal on which they agree.",
        HEIGHT,
        draw_key(key),
        draw_across(X, Y.start, Y.end, "estimate"),
        draw_up(Y, X.start, X.end, f"share that {came_true}"),
        cut("calibration", X, Y, *inside),
        draw_bars(facts.histogram, BARS),
        draw("text", "courses by estimate", x=4, y=468, class_="name", aria_hidden="true"),
    )


def trace(points: Iterator[tuple[float, float | None]]) -> list[tuple[float, float] | None]:
    """Place points; a missing one stays missing."""
    return [None if up is None else (X.place(across), Y.place(up)) for across, up in points]


def draw_bars(bins: Sequence[Bin], y: Scale) -> Markup:
    """Draw how many courses had which estimate, the tallest bar as high as there is room."""
    most = max((one.courses for one in bins), default=0) or 1
    bars = (
        draw(
            "rect",
            x=X.place(one.low) + 0.5,
            y=y.place(one.courses / most),
            width=max(X.place(one.high) - X.place(one.low) - 1, 1),
            height=y.start - y.place(one.courses / most),
            class_="bar",
        )
        for one in bins
        if one.courses
    )
    floor = draw("line", x1=X.start, x2=X.end, y1=y.start, y2=y.start, class_="axis")
    return Markup("").join([*bars, floor])


def draw_bars_alone(facts: CalibrationFacts) -> Markup:
    """Draw the estimates where there is no curve."""
    return frame(
        "calibration-drawing",
        "Estimates",
        "How many courses had which estimate.",
        170,
        draw("text", "courses by estimate", x=4, y=14, class_="name", aria_hidden="true"),
        draw_across(X, 130, 126, "estimate"),
        draw_bars(facts.histogram, Scale(0, 1, 130, 24)),
    )


def caption_curve(facts: CalibrationFacts) -> Markup:
    """Say how to read it."""
    versions = (
        " The thin lines are the curves of models developed again on resampled patients: had other "
        "patients come, the curve could have been any of them."
        if facts.versions
        else " No re-developed versions were drawn: there were none."
    )
    return Markup(
        "Tested on {}. On the dashed diagonal as many respond as were told. Where the line runs "
        "below it, estimates are too high; above it, too low. A line flatter than the diagonal "
        "means estimates that are too extreme. The bars count the courses by their estimate; few "
        "courses are shown as none. Trust the line only where there are bars.{}"
    ).format(TESTED_ON[facts.way], versions)


def tabulate_curve(facts: CalibrationFacts) -> Table:
    """List points along the curve."""
    return make_table(
        "Points of the calibration curve",
        ["Estimate", "Observed", "from", "to"],
        (
            [show_share(one, 1) for one in (p.estimate, p.observed, p.low, p.high)]
            for p in thin_out(facts.points)
        ),
    )


def thin_out(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Keep points at even distances along a curve, its ends among them."""
    if len(points) <= MOST_ROWS:
        return list(points)
    return [points[round(n * (len(points) - 1) / (MOST_ROWS - 1))] for n in range(MOST_ROWS)]


def tabulate_bars(facts: CalibrationFacts) -> Table:
    """List the bars."""
    return make_table(
        "Courses by estimate",
        ["From", "to", "Courses"],
        (
            [show_share(one.low), show_share(one.high), show_count(one.courses)]
            for one in facts.histogram
        ),
    )
