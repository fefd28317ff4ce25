"""Forest plots: one row each for a site, a subgroup or a field, with its interval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from features.model.card import Measure
from training.report.html.svg import WIDTH, Scale, cover, draw, draw_across, frame, measure_in

LEFT, RIGHT = 14, 386
ROW = 36
HEAD = 26
TOP = 8
ARROW = 6
# Widths of a letter of a label, and of smaller text, on average.
LETTER, SMALL = 6.6, 5.6
FEWEST_LETTERS = 10
# A row whose interval reaches beyond these ends in an arrow, lest one site flatten all others.
FACTORS = (0.25, 4.0)


@dataclass(frozen=True)
class Row:
    """One row.

    Parameters
    ----------
    detail
        Beside the label: counts, or why nothing is drawn.
    kind
        A ``head`` has neither measure nor mark. ``pooled`` is a diamond, ``next`` a hollow bar,
        ``bar`` starts at the reference.
    """

    label: str
    measure: Measure | None = None
    detail: Markup = Markup("")  # noqa: RUF009  # as unchangeable as a str
    kind: Literal["point", "pooled", "next", "bar", "head"] = "point"


def scale_factors(rows: Sequence[Row]) -> Scale:
    """Make the axis of a ratio; 1 is on it, and a half and two."""
    ends = [end for row in rows for end in list_ends(row)]
    low = max(min([0.5, *(end * 0.95 for end in ends)]), FACTORS[0])
    high = min(max([2.0, *(end * 1.05 for end in ends)]), FACTORS[1])
    return Scale(low, high, LEFT, RIGHT, multiplies=True)


def scale_plain(rows: Sequence[Row], step: float, *within: float) -> Scale:
    """Make a plain axis that holds every interval and the reference."""
    return Scale(
        *cover((end for row in rows for end in list_ends(row)), step, *within), LEFT, RIGHT
    )


def list_ends(row: Row) -> Iterator[float]:
    """List the numbers that a row needs room for."""
    found = row.measure
    if found is not None and found.value is not None:
        yield from (one for one in (found.value, found.low, found.high) if one is not None)


def draw_forest(
    name: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    x: Scale,
    reference: float,
    axis: str,
    digits: int = 2,
) -> Markup:
    """Draw rows below each other, each label above its mark, so that long ones have room."""
    y, drawn = float(TOP), []
    for row in rows:
        drawn.append(draw_row(row, x, y, reference, digits))
        y += HEAD if row.kind == "head" else ROW
    at = x.keep(reference)
    return frame(
        name,
        title,
        description,
        y + 42,
        draw_across(x, y + 2, TOP, axis, share=False),
        draw("line", x1=at, x2=at, y1=TOP, y2=y + 2, class_="ideal"),
        *drawn,
    )


def draw_row(row: Row, x: Scale, y: float, reference: float, digits: int) -> Markup:
    """Draw one row."""
    if row.kind == "head":
        return draw("text", row.label, x=4, y=y + 17, class_="head")
    value = measure_in(row.measure, digits)
    bold = "label strong" if row.kind in ("pooled", "next") else "label"
    label = draw("tspan", shorten(row.label, row.detail, value), class_=bold)
    texts = [
        draw("rect", x=0, y=y, width=WIDTH, height=15, class_="paper"),
        draw("text", label, " ", row.detail, x=4, y=y + 12, class_="tick"),
        draw("text", value, x=WIDTH - 4, y=y + 12, class_="tick end"),
    ]
    return draw("g", *texts, *draw_mark(row, x, y + 22, reference))


def shorten(label: str, detail: Markup, value: Markup) -> str:
    """Shorten a label that has no room beside the other texts of its row."""
    others = len(detail.striptags()) + len(value.striptags())
    room = max(int((WIDTH - 20 - SMALL * others) / LETTER), FEWEST_LETTERS)
    return label if len(label) <= room else f"{label[: room - 1]}\u2026"


def draw_mark(row: Row, x: Scale, y: float, reference: float) -> Iterator[Markup]:
    """Draw the mark of a row's measure and its interval; nothing where there is none."""
    found = row.measure
    if found is None or found.value is None:
        return
    at = x.keep(found.value)
    low = at if found.low is None else x.keep(found.low)
    high = at if found.high is None else x.keep(found.high)
    if row.kind == "pooled":
        corners = f"{low:.2f},{y:.2f} {at:.2f},{y - 6:.2f} {high:.2f},{y:.2f} {at:.2f},{y + 6:.2f}"
        yield draw("polygon", points=corners, class_="pooled")
        return
    if row.kind == "next":
        yield draw("rect", x=low, y=y - 4, width=max(high - low, 1), height=8, class_="next")
        yield draw("line", x1=at, x2=at, y1=y - 6, y2=y + 6, class_="whisker")
        return
    if row.kind == "bar":
        start = x.keep(reference)
        yield draw(
            "rect", x=min(start, at), y=y - 5, width=abs(at - start), height=10, class_="size"
        )
    yield draw("line", x1=low, x2=high, y1=y, y2=y, class_="whisker")
    yield from draw_arrows(found, x, y)
    if row.kind == "point":
        yield draw("rect", x=at - 4, y=y - 4, width=8, height=8, class_="mark")


def draw_arrows(found: Measure, x: Scale, y: float) -> Iterator[Markup]:
    """Draw an arrow at each end of the axis that an interval goes beyond."""
    ends = ((found.low, x.low, -1, x.start), (found.high, x.high, 1, x.end))
    for value, limit, side, at in ends:
        if value is not None and side * value > side * limit:
            back = at - side * ARROW
            points = f"{at:.2f},{y:.2f} {back:.2f},{y - 4:.2f} {back:.2f},{y + 4:.2f}"
            yield draw("polygon", points=points, class_="mark")
