"""Factors: which fields influence the estimates, and how much."""

from markupsafe import Markup

from training.findings.findings import FactorFacts, Findings
from training.report.forest import Row, draw_forest_plot, scale_plain
from training.report.layout import Figure, make_table
from training.report.numbers import show_measure, show_percent
from training.report.svg import draw_percent

# As many rows as fit a screen; the table has all.
MAX_DRAWN = 15
_STEP = 0.1
# Shown as complete: such a percentage would round to 100%.
_COMPLETE = 0.995


def draw_factors(findings: Findings) -> Figure:
    """Draw how much each field moves the log-odds, the largest first."""
    factors = sorted(findings.factors, key=lambda factor: -(factor.deviation.value or 0))
    if not factors:
        return Figure()
    rows = [Row(f.label, f.deviation, _describe_recorded(f), "bar") for f in factors[:MAX_DRAWN]]
    drawing = draw_forest_plot(
        "factors-drawing",
        "Fields that influence the estimates",
        "Standard deviation of each field's contribution to the log-odds, with its interval.",
        rows,
        scale_plain(rows, _STEP, 0.0),
        0.0,
        "standard deviation in log-odds",
    )
    table = make_table(
        "Contributions of fields to the log-odds",
        ["Field", "Standard deviation", "Recorded"],
        ([f.label, show_measure(f.deviation, 2), show_percent(f.recorded)] for f in factors),
    )
    return Figure((drawing,), (table,))


def _describe_recorded(factor: FactorFacts) -> Markup:
    if factor.recorded > _COMPLETE:
        return Markup("")
    return Markup("{} recorded").format(draw_percent(factor.recorded))
