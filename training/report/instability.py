"""Instability: how much estimates would change with other patients."""

from markupsafe import Markup

from training.findings.findings import Findings, InstabilityFacts
from training.report.layout import Figure, Table, make_table
from training.report.numbers import show_count, show_percent, show_points
from training.report.svg import (
    Scale,
    draw,
    draw_key,
    draw_line,
    draw_x_axis,
    draw_y_axis,
    frame,
)

# Axes of about the same length, so that equality is the usual diagonal.
_X = Scale(0, 1, 44, 378)
_Y = Scale(0, 1, 400, 56)
_HEIGHT = 440
_END = 4


def draw_instability(findings: Findings) -> Figure:
    """Draw each band's estimate against the limits of its bootstrap refits."""
    facts = findings.instability
    if facts is None or not facts.versions or not facts.bands:
        return Figure()
    return Figure((_draw_bands(facts),), (_tabulate_bands(facts),))


def _draw_bands(facts: InstabilityFacts) -> Markup:
    drawn = []
    for band in facts.bands:
        x, low, high = _X.place(band.estimate), _Y.place(band.low), _Y.place(band.high)
        drawn += [
            draw("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"),
            draw("line", x1=x - _END, x2=x + _END, y1=low, y2=low, class_="whisker"),
            draw("line", x1=x - _END, x2=x + _END, y1=high, y2=high, class_="whisker"),
            draw("circle", cx=x, cy=_Y.place(band.estimate), r=3.5, class_="mark"),
        ]
    return frame(
        "instability-drawing",
        "Instability of estimates",
        "For courses with similar estimates, the limits of the estimates by refits of the model.",
        _HEIGHT,
        draw_key([("whisker", "limits of the refits"), ("ideal", "the model itself")]),
        draw_x_axis(_X, _Y.start, _Y.end, "estimate"),
        draw_y_axis(_Y, _X.start, _X.end, "estimate by refits"),
        draw_line([(_X.start, _Y.start), (_X.end, _Y.end)], "ideal"),
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
