"""Drawings, read by the ticks of their axes, show the numbers in the JSON."""

import math

import pytest

from training.findings.findings import Bin
from training.report.chart import Chart
from training.report.forest_plot import Row, scale_factors
from training.report.page import render_report
from training.report.svg import Scale, draw


@pytest.fixture(scope="module")
def page(full, read):
    return read(render_report(full))


def find_drawing(page, name):
    return page.find("svg", aria_labelledby=f"{name}-title {name}-description")


def read_ticks(drawing, kind, coordinate):
    """Read an axis: positions of its ticks, and their values."""
    ticks = []
    for tick in drawing.find_all("text", class_=kind):
        text = tick.text.replace("\u2212", "-")
        if "tick" in tick.attributes["class"].split() and "data-value" not in str(tick.inside):
            share = text.endswith("%")
            value = float(text.rstrip("%\u00a0")) / (100 if share else 1)
            ticks.append((float(tick.attributes[coordinate]), value))
    return ticks


def read_place(ticks, position, multiplies=False):
    """Read the value at a position, by an axis' outermost ticks."""
    move = math.log if multiplies else float
    (start, low), (end, high) = min(ticks), max(ticks)
    at = move(low) + (move(high) - move(low)) * (position - start) / (end - start)
    return math.exp(at) if multiplies else at


def read_points(line):
    return [tuple(map(float, pair.split(","))) for pair in line.attributes["points"].split()]


def read_line(drawing, kind):
    """Read a line's values by both axes; tick labels of the y axis are 4 below their line."""
    across = read_ticks(drawing, "middle", "x")
    up = [(y - 4, value) for y, value in read_ticks(drawing, "end", "y")]
    line = drawing.find("polyline", class_=kind)
    return [(read_place(across, x), read_place(up, y)) for x, y in read_points(line)]


def test_the_calibration_curve_is_that_of_the_json(page, full):
    drawn = read_line(find_drawing(page, "calibration-drawing"), "model")
    known = [(point.estimate, point.observed) for point in full.calibration.points]
    assert [xy for pair in drawn for xy in pair] == pytest.approx(
        [xy for pair in known for xy in pair], abs=1e-4
    )


def list_highs_and_lows(full, name):
    if name == "calibration":
        return [(point.high, point.low) for point in full.calibration.points]
    return [(point.benefit.high, point.benefit.low) for point in full.decision.points]


@pytest.mark.parametrize("name", ["calibration", "decision"])
def test_band_runs_between_the_interval_ends(page, full, name):
    """Along the upper ends, and back along the lower ones."""
    drawing = find_drawing(page, f"{name}-drawing")
    up = [(y - 4, value) for y, value in read_ticks(drawing, "end", "y")]
    band = [read_place(up, y) for _, y in read_points(drawing.find("polygon", class_="band"))]
    highs, lows = zip(*list_highs_and_lows(full, name), strict=True)
    assert band == pytest.approx([*highs, *reversed(lows)], abs=1e-4)


def test_refits_without_a_curve_are_not_drawn(page, full):
    """A gap within a curve stays open."""
    drawing = find_drawing(page, "calibration-drawing")
    lines = list(drawing.find_all("polyline", class_="version"))
    # Forty refits: one has no curve, and one has a gap, so that it has two parts.
    assert len(full.calibration.versions) == len(lines) == 40


def test_heights_of_bars_are_counts_of_courses(page, full):
    bars = list(find_drawing(page, "calibration-drawing").find_all("rect", class_="bar"))
    heights = [float(bar.attributes["height"]) for bar in bars]
    counts = [bar.courses for bar in full.calibration.histogram if bar.courses]
    assert [height / max(heights) for height in heights] == pytest.approx(
        [count / max(counts) for count in counts], abs=1e-3
    )


def test_empty_histogram_has_no_bars(full, read):
    nobody = full.calibration.model_copy(
        update={"points": (), "histogram": (Bin(low=0, high=1, courses=0),)}
    )
    page = read(render_report(full.model_copy(update={"calibration": nobody})))
    assert not list(find_drawing(page, "calibration-drawing").find_all("rect", class_="bar"))


@pytest.mark.parametrize(("kind", "key"), [("model", "benefit"), ("all", "treat_all")])
def test_net_benefits_are_those_of_the_json(page, full, kind, key):
    drawn = read_line(find_drawing(page, "decision-drawing"), kind)
    known = [(point.threshold, getattr(point, key).value) for point in full.decision.points]
    assert [xy for pair in drawn for xy in pair] == pytest.approx(
        [xy for pair in known for xy in pair], abs=1e-4
    )


def test_treating_none_is_worth_nothing(page):
    line = read_line(find_drawing(page, "decision-drawing"), "none")
    assert [benefit for _, benefit in line] == pytest.approx([0.0] * len(line), abs=1e-4)


def test_instability_is_drawn_between_the_limits(page, full):
    drawing = find_drawing(page, "instability-drawing")
    up = [(y - 4, value) for y, value in read_ticks(drawing, "end", "y")]
    bars = [line.attributes for line in drawing.find_all("line", class_="whisker")]
    limits = [
        (read_place(up, float(bar["y1"])), read_place(up, float(bar["y2"])))
        for bar in bars
        if bar["x1"] == bar["x2"]
    ]
    known = [(band.low, band.high) for band in full.instability.bands]
    assert [xy for pair in limits for xy in pair] == pytest.approx(
        [xy for pair in known for xy in pair], abs=1e-4
    )


@pytest.mark.parametrize(("key", "multiplies"), [("auc", False), ("ratio", True)])
def test_sites_are_at_their_values(page, full, key, multiplies):
    drawing = find_drawing(page, f"sites-{key}")
    ticks = read_ticks(drawing, "middle", "x")
    marks = [float(rect.attributes["x"]) + 4 for rect in drawing.find_all("rect", class_="mark")]
    drawn = [read_place(ticks, mark, multiplies) for mark in marks]
    sites = full.across_sites.sites
    known = [site.measures[key].value for site in sites if key in site.measures]
    assert drawn == pytest.approx(known, abs=1e-4)
    following = drawing.find("rect", class_="next").attributes
    start, width = float(following["x"]), float(following["width"])
    ends = [read_place(ticks, position, multiplies) for position in (start, start + width)]
    expected = full.across_sites.pooled[key].next_site
    assert ends == pytest.approx([expected.low, expected.high], abs=1e-3)


def test_interval_beyond_the_axis_has_an_arrow(page):
    arrows = find_drawing(page, "sites-ratio").find_all("polygon", class_="mark")
    # One site's interval is 0.19 to 5.7, cut off at the axis' 0.25 and 4.
    assert len(list(arrows)) == 2


def test_factors_are_as_long_as_they_move(page, full):
    drawing = find_drawing(page, "factors-drawing")
    ticks = read_ticks(drawing, "middle", "x")
    bars = [rect.attributes for rect in drawing.find_all("rect", class_="size")]
    drawn = [read_place(ticks, float(bar["x"]) + float(bar["width"])) for bar in bars]
    known = sorted((factor.deviation.value for factor in full.factors), reverse=True)
    assert drawn == pytest.approx(known, abs=1e-4)
    assert not list(drawing.find_all("rect", class_="mark"))


def test_hidden_subgroups_have_no_mark(page, full):
    drawing = find_drawing(page, "subgroups-drawing")
    marks = list(drawing.find_all("rect", class_="mark"))
    assert len(marks) == len([row for row in full.subgroups if row.ratio is not None]) == 5
    assert "its counts would give away" in drawing.text


def test_the_flow_diagram_has_every_count_of_the_json(page, full):
    drawing, flow = find_drawing(page, "flow-drawing"), full.flow
    texts = (above[-1].attributes.get("data-value") for _, above in drawing.list_texts())
    drawn = [int(value) for value in texts if value is not None]
    excluded = [row.courses for row in flow.excluded]
    analysed = [flow.analysed, flow.patients, flow.sites, flow.events, flow.non_events]
    rows = [table.read for table in flow.tables]
    assert sorted(drawn) == sorted([*rows, flow.read, *excluded, *analysed])
    assert all(row.reason in drawing.text for row in flow.excluded)


def test_the_flow_without_outcomes_or_exclusions_is_drawn(full, read):
    changes = {"tables": (), "excluded": (), "events": None, "non_events": None, "sites": None}
    flow = full.flow.model_copy(update=changes)
    page = read(render_report(full.model_copy(update={"flow": flow})))
    drawing = find_drawing(page, "flow-drawing")
    assert "Excluded" not in drawing.text
    assert len(list(drawing.find_all("rect", class_="box"))) == 2


def test_axis_without_rows_has_its_reference():
    scale = scale_factors([Row("nobody")])
    assert (scale.low, scale.high) == (0.5, 2.0)
    assert 1 in scale.list_ticks()


def test_ticks_are_round_and_few():
    assert Scale(-0.1, 0.4, 300, 0).list_ticks() == [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4]
    assert Scale(0.2, 0.6, 0, 300).list_ticks() == [0.2, 0.3, 0.4, 0.5, 0.6]
    factors = Scale(0.25, 4, 14, 386, multiplies=True).list_ticks()
    assert factors == [0.25, 0.33, 0.5, 0.67, 1, 1.5, 2, 3, 4]


def test_what_is_drawn_is_escaped():
    assert "<script>" not in draw("text", "<script>", class_='"><script>')


def test_line_without_values_is_not_drawn():
    chart = Chart(Scale(0, 1, 0, 300), Scale(0, 1, 300, 0), "x", "y")
    assert chart.draw_line([(0.2, None), (0.4, None)], "version") == ""
