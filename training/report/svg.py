"""Drawing in SVG: elements, scales and axes. Colours come from the stylesheet.

Figures are 400 units wide, about the width of a phone, so that their text stays readable there.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup

from features.model.card import Measure
from training.findings.format import MINUS, format_rounded

WIDTH = 400
_MAX_TICKS = 6
_STEPS = (1, 2, 5, 10)
# Ticks of a logarithmic axis, in order of preference.
_FACTORS = (1, 2, 0.5, 4, 0.25, 1.5, 0.67, 1.25, 0.8, 3, 0.33)
# Or their labels would overlap.
_MIN_TICK_DISTANCE = 34
Point = tuple[float, float]


def draw(tag: str, *inside: str, **attributes: str | float) -> Markup:
    """Draw one element; ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``.

    Examples
    --------
    >>> print(draw("text", "< 1", x=1.0, class_="tick"))
    <text x="1" class="tick">&lt; 1</text>
    """
    pairs = (
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _format_length(value))
        for name, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(
        Markup(tag), Markup("").join(pairs), Markup("").join(inside), Markup(tag)
    )


def _format_length(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Scale:
    """Map values to positions along an axis.

    Parameters
    ----------
    low, high
        Values at both ends.
    start, end
        Positions of the ends.
    multiplies
        Whether equal factors have equal lengths: a logarithmic axis.
    """

    low: float
    high: float
    start: float
    end: float
    multiplies: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value.

        Examples
        --------
        >>> Scale(0, 1, 40, 240).place(0.25)
        90.0
        >>> Scale(0.5, 2, 0, 100, multiplies=True).place(1)
        50.0
        """
        low, high, at = self.low, self.high, value
        if self.multiplies:
            # A ratio of 0 has no logarithm: it lies far beyond any axis.
            low, high, at = (float(np.log(x)) for x in (low, high, max(value, 1e-9)))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def keep(self, value: float) -> float:
        """Return the position of a value, or the nearer end of the axis if it lies outside."""
        return self.place(min(max(value, self.low), self.high))

    def list_ticks(self) -> list[float]:
        """List round values from end to end.

        Examples
        --------
        >>> Scale(0.02, 0.31, 0, 1).list_ticks()
        [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
        >>> Scale(0.4, 2.1, 0, 100, multiplies=True).list_ticks()
        [0.5, 1, 2]
        """
        if self.multiplies:
            return self._list_factors()
        unit = 10.0 ** np.floor(np.log10((self.high - self.low) / _MAX_TICKS))
        steps = (unit * step for step in _STEPS)
        step = next(step for step in steps if (self.high - self.low) / step <= _MAX_TICKS)
        # The margins keep a tick at ends that are round but for rounding; plus 0: never -0.
        first, last = np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9)
        return [round(float(step * index), 10) + 0 for index in np.arange(first, last + 1)]

    def _list_factors(self) -> list[float]:
        kept: list[float] = []
        for factor in _FACTORS:
            gaps = (abs(self.place(factor) - self.place(other)) for other in kept)
            room = all(gap >= _MIN_TICK_DISTANCE for gap in gaps)
            if self.low <= factor <= self.high and room:
                kept.append(factor)
        return sorted(kept)


def cover(values: Iterable[float | None], step: float, *within: float) -> tuple[float, float]:
    """Return round ends of an axis that covers the values, and those in `within`.

    Examples
    --------
    >>> cover([0.53, None, 0.71], 0.1, 0.5)
    (0.5, 0.8)
    """
    known = [*within, *(value for value in values if value is not None)]
    low, high = np.floor(min(known) / step + 1e-9), np.ceil(max(known) / step - 1e-9)
    return round(float(low * step), 10), round(float(max(high, low + 1) * step), 10)


def draw_line(points: Iterable[Point | None], kind: str) -> Markup:
    """Draw a line through points, broken where one is missing."""
    runs = (list(run) for known, run in groupby(points, key=bool) if known)
    return Markup("").join(
        draw(
            "polyline", points=" ".join(_format_point(point) for point in run if point), class_=kind
        )
        for run in runs
    )


def draw_band(points: Sequence[Point], back: Sequence[Point], kind: str) -> Markup:
    """Draw the area between two lines."""
    around = [*points, *reversed(back)]
    return draw("polygon", points=" ".join(_format_point(point) for point in around), class_=kind)


def _format_point(point: Point) -> str:
    return ",".join(_format_length(float(coordinate)) for coordinate in point)


def draw_x_axis(x: Scale, bottom: float, top: float, name: str, percent: bool = True) -> Markup:
    """Draw the horizontal axis; screen readers skip its ticks, since a table has the numbers.

    Parameters
    ----------
    percent
        Whether ticks are in percent.
    """
    drawn = []
    for tick in x.list_ticks():
        at = x.place(tick)
        drawn += [
            draw("line", x1=at, x2=at, y1=bottom, y2=top, class_="grid"),
            _draw_tick(at, bottom + 15, tick, percent, "middle"),
        ]
    middle = (x.start + x.end) / 2
    named = draw("text", name, x=middle, y=bottom + 33, class_="name middle")
    return draw("g", *drawn, named, aria_hidden="true")


def draw_y_axis(y: Scale, left: float, right: float, name: str, percent: bool = True) -> Markup:
    """Draw the vertical axis, its name above it."""
    drawn = []
    for tick in y.list_ticks():
        at = y.place(tick)
        drawn += [
            draw("line", x1=left, x2=right, y1=at, y2=at, class_="grid"),
            _draw_tick(left - 5, at + 4, tick, percent, "end"),
        ]
    named = draw("text", name, x=4, y=y.end - 10, class_="name")
    return draw("g", *drawn, named, aria_hidden="true")


def _draw_tick(x: float, y: float, value: float, percent: bool, anchor: str) -> Markup:
    text = f"{value:.0%}" if percent else f"{value:g}".replace("-", MINUS)
    return draw("text", text, x=x, y=y, class_=f"tick {anchor}")


def draw_key(entries: Sequence[tuple[str, str]]) -> Markup:
    """Draw the legend, two entries per row."""
    drawn = []
    for number, (kind, text) in enumerate(entries):
        x, y = 4 + 200 * (number % 2), 12 + 17 * (number // 2)
        mark = (
            draw("rect", x=x, y=y - 5, width=24, height=10, class_=kind)
            if kind == "band"
            else draw("line", x1=x, x2=x + 24, y1=y, y2=y, class_=kind)
        )
        drawn += [mark, draw("text", text, x=x + 30, y=y + 4, class_="tick")]
    return draw("g", *drawn, aria_hidden="true")


def clip(name: str, x: Scale, y: Scale, *inside: str) -> Markup:
    """Clip drawings to the area between the axes."""
    left, top = min(x.start, x.end), min(y.start, y.end)
    area = draw("rect", x=left, y=top, width=abs(x.end - x.start), height=abs(y.end - y.start))
    area_clip = draw("clipPath", area, id=f"{name}-area")
    return Markup("").join([area_clip, draw("g", *inside, clip_path=f"url(#{name}-area)")])


def frame(name: str, title: str, description: str, height: float, *inside: str) -> Markup:
    """Frame a drawing, with a title and a description for screen readers."""
    return draw(
        "svg",
        draw("title", title, id=f"{name}-title"),
        draw("desc", description, id=f"{name}-description"),
        *inside,
        viewBox=f"0 0 {WIDTH} {_format_length(float(height))}",
        role="img",
        aria_labelledby=f"{name}-title {name}-description",
    )


def draw_number(value: float | None, digits: int = 0) -> Markup:
    """Write a number into a drawing, with the value that it was rounded from."""
    if value is None:
        return Markup("\u2013")
    return draw("tspan", format_rounded(value, digits), data_value=json.dumps(value))


def draw_percent(value: float) -> Markup:
    """Write a proportion into a drawing, in percent."""
    text = f"{format_rounded(100 * value, 0)}%"
    return draw("tspan", text, data_value=json.dumps(value))


def draw_measure(measure: Measure | None, digits: int) -> Markup:
    """Write a measure with its interval into a drawing."""
    if measure is None or measure.value is None:
        return Markup("")
    value = draw_number(measure.value, digits)
    if measure.low is None or measure.high is None:
        return value
    ends = draw_number(measure.low, digits), draw_number(measure.high, digits)
    return Markup("{} ({} to {})").format(value, *ends)
