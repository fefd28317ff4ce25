"""Findings as one HTML file that needs no other, and in Markdown.

The words of both are in ``templates``; tables, drawings and numbers are made here.
"""

import re
from functools import cache
from typing import Any

from jinja2 import Environment

from training.candidates.registry import BASE_RATE, label_candidate
from training.findings import words
from training.findings.findings import Findings
from training.findings.format import format_percent
from training.findings.gate import format_gate
from training.report import numbers
from training.report.curves import draw_calibration, draw_decision, draw_instability
from training.report.flow import draw_flow
from training.report.forests import MAX_FACTORS, draw_factors, draw_sites, draw_subgroups
from training.report.rendering import make_environment, render_page
from training.report.summary import list_undone, summarise_findings
from training.report.tables import make_tables

# By the name that the templates use.
_FIGURES = {
    "flow": draw_flow,
    "calibration": draw_calibration,
    "decision": draw_decision,
    "instability": draw_instability,
    "sites": draw_sites,
    "factors": draw_factors,
    "subgroups": draw_subgroups,
}
_FUNCTIONS = (
    numbers.show_count,
    numbers.show_frequency,
    numbers.show_measure,
    numbers.show_number,
    numbers.show_percent,
    numbers.show_plain,
    numbers.show_points,
    words.describe_treatment,
    words.describe_update,
    words.name_field,
    format_gate,
    format_percent,
    label_candidate,
)


def render_report(findings: Findings) -> str:
    """Render the report as one HTML file without script, network or other files.

    Parameters
    ----------
    findings
        Every number of the report. Each is shown rounded, with the exact value in an attribute.
    """
    return render_page(
        _make_environment(),
        "report.html",
        findings=findings,
        card=findings.card,
        event=words.describe_event(findings.card),
        summary=summarise_findings(findings),
        figures={name: draw(findings) for name, draw in _FIGURES.items()},
        tables=make_tables(findings),
        undone=list_undone(findings),
    )


def write_report(findings: Findings) -> str:
    """Write the findings of a study in Markdown; the HTML file is the full report."""
    tables = make_tables(findings)
    return render_markdown("report.md", findings=findings, card=findings.card, tables=tables)


def render_markdown(template: str, **facts: Any) -> str:
    """Render a template in Markdown; parts that come out empty leave no gap."""
    text = _make_environment().get_template(template).render(facts)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _make_environment() -> Environment:
    return make_environment(
        base_rate=BASE_RATE,
        max_factors=MAX_FACTORS,
        tested_on=words.TESTED_ON,
        validation_types=words.VALIDATION_TYPES,
        **{function.__name__: function for function in _FUNCTIONS},
    )
