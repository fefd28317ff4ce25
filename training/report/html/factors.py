"""Factors: what moves estimates, and how much."""

from markupsafe import Markup

from training.findings.findings import FactorFacts, Findings
from training.findings.words import BASE_RATE
from training.report.html.figure import Figure
from training.report.html.forest import Row, draw_forest, scale_plain
from training.report.html.numbers import show_measure, show_share
from training.report.html.svg import share_in
from training.report.html.table import make_table

HEADING = "What moves the estimates?"
MOST = 15
STEP = 0.1


def draw_factors(findings: Findings) -> Figure:
    """Draw how much each field moves the log-odds, the one that moves most first."""
    factors = sorted(findings.factors, key=lambda one: -(one.deviation.value or 0))
    if not factors:
        same = findings.card.candidate == BASE_RATE
        caption = "Nothing: everybody gets the base rate." if same else "Not measured here."
        return Figure("factors", HEADING, Markup(caption))
    rows = [Row(one.label, one.deviation, describe(one), "bar") for one in factors[:MOST]]
    drawing = draw_forest(
        "factors-drawing",
        "What moves the estimates",
        "Each field's standard deviation of what it adds to the log-odds, with its interval.",
        rows,
        scale_plain(rows, STEP, 0.0),
        0.0,
        "standard deviation in log-odds",
    )
    table = make_table(
        "What moves the estimates",
        ["Field", "Standard deviation in log-odds", "Recorded"],
        ([one.label, show_measure(one.deviation, 2), show_share(one.recorded)] for one in factors),
    )
    return Figure("factors", HEADING, caption_factors(len(factors) > MOST), (drawing,), (table,))


def describe(factor: FactorFacts) -> Markup:
    """Say how often the field is recorded, where it often is not."""
    if factor.recorded > 0.995:
        return Markup("")
    return Markup("{} recorded").format(share_in(factor.recorded))


def caption_factors(shortened: bool) -> Markup:
    """Say how to read it."""
    rest = " Only the fields that move most are drawn; the table has all." if shortened else ""
    return Markup(
        "How far a field spreads the estimates of the patients at hand, in log-odds; the line is "
        "the interval over versions of the model. A field that is rarely recorded can move little. "
        "These are associations, not effects: changing a field would not change the outcome by as "
        "much.{}"
    ).format(rest)
