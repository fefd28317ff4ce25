"""Drawing: elements, scales and axes. Colours are the stylesheet's, so figures follow the theme.

Figures are 400 units wide, about what a phone has: their text stays readable there.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup

from features.model.card import Measure
from training.report.html.numbers import MINUS, NOTHING, Number, write_number

WIDTH = 400
MOST_TICKS = 6
STEPS = (1, 2, 5, 10)
# Ticks of an axis that multiplies, the most wanted first.
FACTORS = (1, 2, 0.5, 4, 0.25, 1.5, 0.67, 1.25, 0.8, 3, 0.33)
# How far apart ticks are at least.
APART = 34
Point = tuple[float, float]


def draw(tag: str, *inside: str, **attributes: str | float) -> Markup:
    """Draw one element; ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``.

    Examples
    --------
    >>> print(draw("text", "< 1", x=1.0, class_="tick"))
    <text x="1" class="tick">&lt; 1</text>
    """
    pairs = (
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), plain(value))
        for name, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(
        Markup(tag), Markup("").join(pairs), Markup("").join(inside), Markup(tag)
    )


def plain(value: str | float) -> str:
    """Write an attribute; lengths to a hundredth."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Scale:
    """From values to places along an axis.

    Parameters
    ----------
    low, high
        Values at both ends.
    start, end
        Where they lie.
    multiplies
        Whether equal factors are equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    multiplies: bool = False

    def place(self, value: float) -> float:
        """Place a value.

        Examples
        --------
        >>> Scale(0, 1, 40, 240).place(0.25)
        90.0
        >>> Scale(0.5, 2, 0, 100, multiplies=True).place(1)
        50.0
        """
        low, high, at = self.low, self.high, value
        if self.multiplies:
            low, high, at = (float(np.log(one)) for one in (low, high, max(value, 1e-9)))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def keep(self, value: float) -> float:
        """Place a value, at the end where it lies beyond."""
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
            return self.list_factors()
        unit = 10.0 ** np.floor(np.log10((self.high - self.low) / MOST_TICKS))
        steps = (unit * step for step in STEPS)
        step = next(one for one in steps if (self.high - self.low) / one <= MOST_TICKS)
        first, last = np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9)
        return [round(float(step * place), 10) + 0 for place in np.arange(first, last + 1)]

    def list_factors(self) -> list[float]:
        """List the most wanted factors that have room between each other."""
        kept: list[float] = []
        for one in FACTORS:
            near = (abs(self.place(one) - self.place(other)) < APART for other in kept)
            if self.low <= one <= self.high and not any(near):
                kept.append(one)
        return sorted(kept)


def cover(values: Iterable[float | None], step: float, *within: float) -> tuple[float, float]:
    """Find round ends that cover values, and others that must be on the axis anyway.

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
        draw("polyline", points=" ".join(join_point(one) for one in run if one), class_=kind)
        for run in runs
    )


def draw_band(points: Sequence[Point], back: Sequence[Point], kind: str) -> Markup:
    """Draw the area between two lines."""
    around = [*points, *reversed(back)]
    return draw("polygon", points=" ".join(join_point(one) for one in around), class_=kind)


def join_point(point: Point) -> str:
    """Write a point.

    Examples
    --------
    >>> join_point((1.0, 2.345))
    '1,2.35'
    """
    return ",".join(plain(float(one)) for one in point)


def draw_across(x: Scale, bottom: float, top: float, name: str, share: bool = True) -> Markup:
    """Draw the level axis; no screen reader needs ticks, as the numbers are in a table.

    Parameters
    ----------
    share
        Whether ticks are in per cent.
    """
    drawn = []
    for tick in x.list_ticks():
        at = x.place(tick)
        drawn += [
            draw("line", x1=at, x2=at, y1=bottom, y2=top, class_="grid"),
            place_tick(at, bottom + 15, tick, share, "middle"),
        ]
    middle = (x.start + x.end) / 2
    named = draw("text", name, x=middle, y=bottom + 33, class_="name middle")
    return draw("g", *drawn, named, aria_hidden="true")


def draw_up(y: Scale, left: float, right: float, name: str, share: bool = True) -> Markup:
    """Draw the upright axis; its name stands above it, unturned."""
    drawn = []
    for tick in y.list_ticks():
        at = y.place(tick)
        drawn += [
            draw("line", x1=left, x2=right, y1=at, y2=at, class_="grid"),
            place_tick(left - 5, at + 4, tick, share, "end"),
        ]
    named = draw("text", name, x=4, y=y.end - 10, class_="name")
    return draw("g", *drawn, named, aria_hidden="true")


def place_tick(x: float, y: float, value: float, share: bool, anchor: str) -> Markup:
    """Write a tick's value."""
    text = f"{value:.0%}".replace("%", "\u00a0%") if share else f"{value:g}".replace("-", MINUS)
    return draw("text", text, x=x, y=y, class_=f"tick {anchor}")


def draw_key(entries: Sequence[tuple[str, str]]) -> Markup:
    """Draw what each kind of line means, two a row."""
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


def cut(name: str, x: Scale, y: Scale, *inside: str) -> Markup:
    """Cut off what lies beyond the axes."""
    left, top = min(x.start, x.end), min(y.start, y.end)
    area = draw("rect", x=left, y=top, width=abs(x.end - x.start), height=abs(y.end - y.start))
    clip = draw("clipPath", area, id=f"{name}-area")
    return Markup("").join([clip, draw("g", *inside, clip_path=f"url(#{name}-area)")])


def frame(name: str, title: str, description: str, height: float, *inside: str) -> Markup:
    """Frame a drawing; its title and description are what a screen reader says."""
    return draw(
        "svg",
        draw("title", title, id=f"{name}-title"),
        draw("desc", description, id=f"{name}-description"),
        *inside,
        viewBox=f"0 0 {WIDTH} {plain(float(height))}",
        role="img",
        aria_labelledby=f"{name}-title {name}-description",
    )


def count_in(value: Number | None, digits: int = 0) -> Markup:
    """Write a number into a drawing, with its value beside."""
    if value is None:
        return Markup(NOTHING)
    return draw("tspan", write_number(value, digits), data_value=json.dumps(value))


def share_in(value: Number) -> Markup:
    """Write a share into a drawing, in per cent."""
    text = f"{write_number(100 * value, 0)}\u00a0%"
    return draw("tspan", text, data_value=json.dumps(value))


def measure_in(found: Measure | None, digits: int) -> Markup:
    """Write a measure with its interval into a drawing."""
    if found is None or found.value is None:
        return Markup("")
    value = count_in(found.value, digits)
    if found.low is None or found.high is None:
        return value
    return Markup("{} ({} to {})").format(
        value, count_in(found.low, digits), count_in(found.high, digits)
    )
