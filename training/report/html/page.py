"""Putting the report together: figures, tables and sentences into one page."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from training.findings import words
from training.findings.findings import Findings
from training.report.html import facts, numbers, performance
from training.report.html.calibration import draw_calibration
from training.report.html.decision import draw_decision
from training.report.html.factors import draw_factors
from training.report.html.figure import Figure
from training.report.html.instability import draw_instability
from training.report.html.sites import draw_sites
from training.report.html.subgroups import draw_subgroups
from training.report.html.summary import summarise
from training.report.html.table import Table

FOLDER = Path(__file__).parent / "templates"
STYLE = "report.css"
HELPERS = (
    numbers.show_count,
    numbers.show_measure,
    numbers.show_number,
    numbers.show_plain,
    numbers.show_share,
    words.name_field,
    words.tell_outcome,
    words.tell_treatment,
)


def render_report(findings: Findings) -> str:
    """Render the report as one HTML file that needs no other, no script and no network.

    Parameters
    ----------
    findings
        Every number of the report. Each is shown rounded, with itself in a ``value`` beside.
    """
    style = read_style()
    return get_template().render(
        findings=findings,
        card=findings.card,
        style=Markup(style),
        style_digest=b64encode(sha256(style.encode()).digest()).decode(),
        summary=summarise(findings),
        figures=draw_figures(findings),
        tables=make_tables(findings),
        undone=performance.list_undone(findings),
        ways=words.WAYS,
        **{helper.__name__: helper for helper in HELPERS},
    )


@cache
def get_template() -> Template:
    """Read the templates, once."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


@cache
def read_style() -> str:
    """Read the stylesheet; its digest is what the page's policy allows."""
    return (FOLDER / STYLE).read_text("utf-8")


def draw_figures(findings: Findings) -> list[Figure]:
    """Draw every figure, in the order of the report."""
    return [
        draw(findings)
        for draw in (
            draw_calibration,
            draw_decision,
            draw_instability,
            draw_sites,
            draw_factors,
            draw_subgroups,
        )
    ]


def make_tables(findings: Findings) -> dict[str, Table | None]:
    """Make every table outside the figures; None where there is nothing to show."""
    card, size, attrition = findings.card, findings.sample_size, findings.attrition
    return {
        "gate": performance.tabulate_gate(findings),
        "performance": performance.tabulate_performance(findings),
        "candidates": performance.tabulate_candidates(findings),
        "sizes": facts.tabulate_sizes(size) if size else None,
        "gaps": facts.tabulate_gaps(attrition) if attrition else None,
        "scenarios": facts.tabulate_scenarios(attrition) if attrition else None,
        "recorded": facts.tabulate_recorded(findings),
        "ranges": facts.tabulate_ranges(card),
        "versions": facts.tabulate_keys("Software", "Version", dict(card.versions)),
        "files": facts.tabulate_keys("Files of the model", "SHA-256", dict(card.files)),
        "checklist": facts.tabulate_checklist(findings),
    }
