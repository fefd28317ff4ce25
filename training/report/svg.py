"""Drawing in SVG: elements, scales and axes. Colours come from the stylesheet.

Figures are 400 units wide, about the width of a phone, so that their text stays readable there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from training.findings.format import MINUS

WIDTH = 400
_MAX_TICKS = 6
_STEPS = (1, 2, 5, 10)
# Ticks of a logarithmic axis, in order of preference.
_FACTORS = (1, 2, 0.5, 4, 0.25, 1.5, 0.67, 1.25, 0.8, 3, 0.33)
# Or their labels would overlap.
_MIN_TICK_DISTANCE = 34
_IN_SVG = [
    (Markup("<data value="), Markup("<tspan data-value=")),
    (Markup("</data>"), Markup("</tspan>")),
    (Markup("<small>"), Markup("")),
    (Markup("</small>"), Markup("")),
]


def draw(tag: str, *inside: str, **attributes: str | float) -> Markup:
    """Draw one element; ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``.

    Examples
    --------
    >>> print(draw("text", "< 1", x=1.0, class_="tick"))
    <text x="1" class="tick">&lt; 1</text>
    """
    pairs = (
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), format_length(value))
        for name, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(
        Markup(tag), Markup("").join(pairs), Markup("").join(inside), Markup(tag)
    )


def format_length(value: str | float) -> str:
    """Write a length in the drawing's units, to the hundredth."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Scale:
    """Map values, from low to high, to positions along an axis, from start to end.

    The axis is logarithmic if it ``multiplies``: equal factors have equal lengths.
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


def draw_x_axis(x: Scale, bottom: float, top: float, name: str, percent: bool = True) -> Markup:
    """Draw the horizontal axis; screen readers skip its ticks, since a table has the numbers."""
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


def frame(name: str, title: str, description: str, height: float, *inside: str) -> Markup:
    """Frame a drawing, with a title and a description for screen readers."""
    return draw(
        "svg",
        draw("title", title, id=f"{name}-title"),
        draw("desc", description, id=f"{name}-description"),
        *inside,
        viewBox=f"0 0 {WIDTH} {format_length(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-description",
    )


def draw_shown(shown: Markup) -> Markup:
    """Turn numbers as pages show them into SVG, which has no ``data`` element.

    Examples
    --------
    >>> print(draw_shown(Markup('<data value="0.65123">0.651</data>')))
    <tspan data-value="0.65123">0.651</tspan>
    """
    for html, svg in _IN_SVG:
        shown = shown.replace(html, svg)
    return shown
