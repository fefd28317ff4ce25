"""Charts with two axes: lines, bands, the key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from training.report.svg import Scale, draw, draw_x_axis, draw_y_axis, format_length, frame


@dataclass(frozen=True)
class Chart:
    """The axes of a chart; ``percent`` tells whether the vertical one is in percent, too."""

    x: Scale
    y: Scale
    x_name: str
    y_name: str
    percent: bool = True

    def draw_line(self, points: Iterable[tuple[float, float | None]], kind: str) -> Markup:
        """Draw a line through points, broken where a value is missing."""
        runs = (list(run) for known, run in groupby(points, lambda p: p[1] is not None) if known)
        return Markup("").join(
            draw("polyline", points=self._join(run), class_=kind) for run in runs
        )

    def draw_band(self, points: Sequence[tuple[float, float, float]]) -> Markup:
        """Draw the area between a lower and an upper line, each point with both its values."""
        upper = [(at, high) for at, _, high in points]
        lower = [(at, low) for at, low, _ in reversed(points)]
        return draw("polygon", points=self._join([*upper, *lower]), class_="band")

    def draw_diagonal(self) -> Markup:
        """Draw the line on which both values are equal, from corner to corner."""
        return self.draw_line([(self.x.low, self.y.low), (self.x.high, self.y.high)], "ideal")

    def _join(self, points: Iterable[tuple[float, float | None]]) -> str:
        return " ".join(
            f"{format_length(self.x.place(x))},{format_length(self.y.place(y))}"
            for x, y in points
            if y is not None
        )

    def frame(
        self,
        name: str,
        title: str,
        description: str,
        height: float,
        key: Sequence[tuple[str, str]],
        inside: Sequence[Markup],
        *above: Markup,
    ) -> Markup:
        """Draw key and axes, what is clipped to the area between them, and what is not."""
        x, y = self.x, self.y
        area = draw("rect", x=x.start, y=y.end, width=x.end - x.start, height=y.start - y.end)
        return frame(
            f"{name}-drawing",
            title,
            description,
            height,
            _draw_key(key),
            draw_x_axis(x, y.start, y.end, self.x_name),
            draw_y_axis(y, x.start, x.end, self.y_name, self.percent),
            draw("clipPath", area, id=f"{name}-area"),
            draw("g", *inside, clip_path=f"url(#{name}-area)"),
            *above,
        )


def _draw_key(entries: Sequence[tuple[str, str]]) -> Markup:
    # Two entries per row.
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
