"""Forest plots: one row each for a site, a subgroup or a field, with its interval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from features.model.card import Measure
from training.report.numbers import show_measure
from training.report.svg import WIDTH, Scale, cover, draw, draw_shown, draw_x_axis, frame

_LEFT, _RIGHT = 14, 386
# A row holds a label above its mark; heights and lengths in the drawing's units.
_ROW = 36
_HEAD = 26
_TOP = 8
_ARROW = 6
# Width of a letter of a label, and of smaller text, in the wider fonts that browsers fall back on.
_LETTER, _SMALL = 7.0, 6.0
_MIN_LETTERS = 10
# Intervals beyond these end in an arrow, so that one site does not flatten all others.
_FACTORS = (0.25, 4.0)


@dataclass(frozen=True)
class Row:
    """One row."""

    label: str
    measure: Measure | None = None
    # After the label: counts, or why nothing is drawn.
    detail: Markup = Markup("")  # noqa: RUF009  # as unchangeable as a str
    # A ``head`` has neither measure nor mark. ``pooled`` is a diamond, ``next`` a hollow bar,
    # ``bar`` starts at the reference.
    kind: Literal["point", "pooled", "next", "bar", "head"] = "point"

    def list_ends(self) -> list[float]:
        """List its value and the ends of its interval; empty if it was not measured."""
        measure = self.measure
        if measure is None or measure.value is None:
            return []
        return [x for x in (measure.value, measure.low, measure.high) if x is not None]


def scale_factors(rows: Sequence[Row]) -> Scale:
    """Make the logarithmic axis of a ratio, from at most a half to at least two."""
    ends = [end for row in rows for end in row.list_ends()]
    low = max(min([0.5, *(end * 0.95 for end in ends)]), _FACTORS[0])
    high = min(max([2.0, *(end * 1.05 for end in ends)]), _FACTORS[1])
    return Scale(low, high, _LEFT, _RIGHT, multiplies=True)


def scale_plain(rows: Sequence[Row], step: float, *within: float) -> Scale:
    """Make a linear axis that holds every interval and the reference."""
    return Scale(
        *cover((end for row in rows for end in row.list_ends()), step, *within), _LEFT, _RIGHT
    )


def draw_forest_plot(
    name: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    x: Scale,
    reference: float,
    axis: str,
    digits: int = 2,
) -> Markup:
    """Draw one row below the other, each label above its mark: long labels have room there."""
    y, drawn = float(_TOP), []
    for row in rows:
        drawn.append(_draw_row(row, x, y, reference, digits))
        y += _HEAD if row.kind == "head" else _ROW
    at = x.keep(reference)
    return frame(
        name,
        title,
        description,
        y + 42,
        draw_x_axis(x, y + 2, _TOP, axis, percent=False),
        draw("line", x1=at, x2=at, y1=_TOP, y2=y + 2, class_="ideal"),
        *drawn,
    )


def _draw_row(row: Row, x: Scale, y: float, reference: float, digits: int) -> Markup:
    if row.kind == "head":
        return draw("text", row.label, x=4, y=y + 17, class_="head")
    detail, value = draw_shown(row.detail), Markup("")
    if row.list_ends():
        value = draw_shown(show_measure(row.measure, digits))
    bold = "label strong" if row.kind in ("pooled", "next") else "label"
    label = draw("tspan", _shorten(row.label, detail, value), class_=bold)
    texts = [
        draw("rect", x=0, y=y, width=WIDTH, height=15, class_="paper"),
        draw("text", label, " ", detail, x=4, y=y + 12, class_="tick"),
        draw("text", value, x=WIDTH - 4, y=y + 12, class_="tick end"),
    ]
    return draw("g", *texts, *_draw_mark(row, x, y + 22, reference))


def _shorten(label: str, detail: Markup, value: Markup) -> str:
    others = len(detail.striptags()) + len(value.striptags())
    room = max(int((WIDTH - 20 - _SMALL * others) / _LETTER), _MIN_LETTERS)
    return label if len(label) <= room else f"{label[: room - 1]}\u2026"


def _draw_mark(row: Row, x: Scale, y: float, reference: float) -> Iterator[Markup]:
    measure = row.measure
    if measure is None or measure.value is None:
        return
    at = x.keep(measure.value)
    low = at if measure.low is None else x.keep(measure.low)
    high = at if measure.high is None else x.keep(measure.high)
    if row.kind == "pooled":
        corners = f"{low:.2f},{y:.2f} {at:.2f},{y - 6:.2f} {high:.2f},{y:.2f} {at:.2f},{y + 6:.2f}"
        yield draw("polygon", points=corners, class_="pooled")
        return
    if row.kind == "next":
        # At least one unit wide, or an interval without width would be invisible.
        yield draw("rect", x=low, y=y - 4, width=max(high - low, 1), height=8, class_="next")
        yield draw("line", x1=at, x2=at, y1=y - 6, y2=y + 6, class_="whisker")
        return
    if row.kind == "bar":
        start = x.keep(reference)
        yield draw(
            "rect", x=min(start, at), y=y - 5, width=abs(at - start), height=10, class_="size"
        )
    yield draw("line", x1=low, x2=high, y1=y, y2=y, class_="whisker")
    yield from _draw_arrows(measure, x, y)
    if row.kind == "point":
        yield draw("rect", x=at - 4, y=y - 4, width=8, height=8, class_="mark")


def _draw_arrows(measure: Measure, x: Scale, y: float) -> Iterator[Markup]:
    ends = ((measure.low, x.low, -1, x.start), (measure.high, x.high, 1, x.end))
    for value, limit, side, at in ends:
        if value is not None and side * value > side * limit:
            back = at - side * _ARROW
            points = f"{at:.2f},{y:.2f} {back:.2f},{y - 4:.2f} {back:.2f},{y + 4:.2f}"
            yield draw("polygon", points=points, class_="mark")
