"""The flow diagram: from the courses read to those analysed, with exclusions at the side."""

from collections.abc import Sequence
from textwrap import wrap

from markupsafe import Markup

from training.findings.findings import Findings, Flow
from training.report.layout import Figure
from training.report.numbers import show_count
from training.report.svg import WIDTH, draw, draw_shown, frame
from training.report.tables import tabulate_flow

# In the drawing's units: edges of the boxes on the left and of the one on the right.
_LEFT, _RIGHT = (4, 168), (192, WIDTH - 4)
_LINE, _GAP, _PADDING, _ARROW = 15, 24, 7, 5
# Width of a letter in the wider fonts that browsers fall back on.
_LETTER = 6.4

_Edges = tuple[float, float]


def draw_flow(findings: Findings) -> Figure:
    """Draw the flow of courses; its numbers are those of the table in Markdown."""
    if findings.flow is None:
        return Figure()
    return Figure((_draw_diagram(findings.flow),), (tabulate_flow(findings.flow),))


def _draw_diagram(flow: Flow) -> Markup:
    read = [(flow.read, "courses read")]
    tables = [(table.read, f"rows of {table.table}") for table in flow.tables]
    boxes = tables, read, _list_analysed(flow), _list_outcomes(flow)
    middle, end, drawn = sum(_LEFT) / 2, 0.0, list[Markup]()
    for box in filter(None, boxes):
        top = end + _GAP if drawn else float(_LEFT[0])
        if box is boxes[2] and flow.excluded:
            aside, bottom = _draw_box(_RIGHT, end + _GAP / 2, _list_excluded(flow))
            at = (end + bottom + _GAP / 2) / 2
            drawn += [aside, _draw_arrow((middle, at), (_RIGHT[0], at))]
            top = bottom + _GAP / 2
        if drawn:
            drawn.append(_draw_arrow((middle, end), (middle, top)))
        texts = [text for courses, name in box for text in _wrap_count(courses, name, _LEFT)]
        lines, end = _draw_box(_LEFT, top, texts)
        drawn.append(lines)
    return frame(
        "flow-drawing",
        "Flow of courses",
        "From the courses read to those analysed, with the reasons for exclusion.",
        end + _LEFT[0],
        *drawn,
    )


def _list_analysed(flow: Flow) -> list[tuple[int, str]]:
    rows = [(flow.analysed, "courses analysed"), (flow.patients, "patients")]
    return [*rows, *([] if flow.sites is None else [(flow.sites, "sites")])]


def _list_outcomes(flow: Flow) -> list[tuple[int, str]]:
    if flow.events is None or flow.non_events is None:
        return []
    return [(flow.events, "events"), (flow.non_events, "non-events")]


def _list_excluded(flow: Flow) -> list[Markup]:
    head = draw("tspan", "Excluded", class_="strong")
    return [
        head,
        *(t for row in flow.excluded for t in _wrap_count(row.courses, row.reason, _RIGHT)),
    ]


def _wrap_count(courses: int, name: str, edges: _Edges) -> list[Markup]:
    count = draw("tspan", draw_shown(show_count(courses)), class_="strong")
    letters = int((edges[1] - edges[0] - 2 * _PADDING) / _LETTER)
    # The first line begins with the count, in whose place the others are indented.
    first, *others = wrap(name, letters, initial_indent=f"{courses:,} ", subsequent_indent="  ")
    rest = first.removeprefix(f"{courses:,}")
    return [Markup("{}{}").format(count, rest), *(Markup("{}").format(line) for line in others)]


def _draw_box(edges: _Edges, top: float, texts: Sequence[Markup]) -> tuple[Markup, float]:
    # Also returns its lower edge.
    left, height = edges[0], _LINE * len(texts) + 2 * _PADDING
    box = draw("rect", x=left, y=top, width=edges[1] - left, height=height, rx=4, class_="box")
    lines = (
        draw("text", text, x=left + _PADDING, y=top + _PADDING + _LINE * number + 11)
        for number, text in enumerate(texts)
    )
    return draw("g", box, *lines), top + height


def _draw_arrow(start: tuple[float, float], end: tuple[float, float]) -> Markup:
    (x, y), down = end, start[0] == end[0]
    back = [(x - _ARROW, y - _ARROW), (x + _ARROW if down else x - _ARROW, y - _ARROW)]
    if not down:
        back[1] = (x - _ARROW, y + _ARROW)
    corners = " ".join(f"{a:.2f},{b:.2f}" for a, b in (end, *back))
    line = draw("line", x1=start[0], y1=start[1], x2=x, y2=y, class_="axis")
    return draw("g", line, draw("polygon", points=corners, class_="arrow"), aria_hidden="true")
