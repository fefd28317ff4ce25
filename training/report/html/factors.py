"""Factors: which fields influence the estimates, and how much."""

from markupsafe import Markup

from training.candidates.registry import BASE_RATE
from training.findings.findings import FactorFacts, Findings
from training.report.html.forest import Row, draw_forest_plot, scale_plain
from training.report.html.layout import HtmlFigure, make_html_table
from training.report.html.numbers import show_measure, show_percent
from training.report.html.svg import draw_percent

_HEADING = "Which fields influence the estimates?"
# As many rows as fit a screen; the table has all.
_MAX_DRAWN = 15
_STEP = 0.1
# Shown as complete: such a percentage would round to 100%.
_COMPLETE = 0.995


def draw_factors(findings: Findings) -> HtmlFigure:
    """Draw how much each field moves the log-odds, the largest first."""
    factors = sorted(findings.factors, key=lambda factor: -(factor.deviation.value or 0))
    if not factors:
        constant = findings.card.candidate == BASE_RATE
        reason = "None: every patient gets the base rate." if constant else "Not measured here."
        return HtmlFigure("factors", _HEADING, Markup(reason))
    rows = [Row(f.label, f.deviation, _describe_recorded(f), "bar") for f in factors[:_MAX_DRAWN]]
    drawing = draw_forest_plot(
        "factors-drawing",
        "Fields that influence the estimates",
        "Standard deviation of each field's contribution to the log-odds, with its interval.",
        rows,
        scale_plain(rows, _STEP, 0.0),
        0.0,
        "standard deviation in log-odds",
    )
    table = make_html_table(
        "Contributions of fields to the log-odds",
        ["Field", "Standard deviation", "Recorded"],
        ([f.label, show_measure(f.deviation, 2), show_percent(f.recorded)] for f in factors),
    )
    caption = _caption_factors(shortened=len(factors) > _MAX_DRAWN)
    return HtmlFigure("factors", _HEADING, caption, (drawing,), (table,))


def _describe_recorded(factor: FactorFacts) -> Markup:
    if factor.recorded > _COMPLETE:
        return Markup("")
    return Markup("{} recorded").format(draw_percent(factor.recorded))


def _caption_factors(shortened: bool) -> Markup:
    rest = " Only the largest are drawn; the table has all." if shortened else ""
    return Markup(
        "How much a field spreads the estimates of the patients studied, in log-odds; the line is "
        "the interval over bootstrap refits. A field that is rarely recorded can contribute "
        "little. These are associations, not causal effects: changing a field would not change the "
        "outcome by as much.{}"
    ).format(rest)
