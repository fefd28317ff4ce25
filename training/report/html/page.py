"""The validation report: one HTML file that needs no other."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from training.findings import words
from training.findings.findings import Findings
from training.report.html import numbers
from training.report.html.calibration import draw_calibration
from training.report.html.decision import draw_decision
from training.report.html.factors import draw_factors
from training.report.html.instability import draw_instability
from training.report.html.sites import draw_sites
from training.report.html.subgroups import draw_subgroups
from training.report.html.summary import summarise_findings
from training.report.html.tables import list_undone, make_tables

_FOLDER = Path(__file__).parent / "templates"
_STYLE = "report.css"
# In the order of the report.
_FIGURES = (
    draw_calibration,
    draw_decision,
    draw_instability,
    draw_sites,
    draw_factors,
    draw_subgroups,
)
_FUNCTIONS = (
    numbers.show_count,
    numbers.show_number,
    numbers.show_plain,
    numbers.show_percent,
    words.name_field,
    words.describe_treatment,
)


def render_report(findings: Findings) -> str:
    """Render the report as one HTML file without script, network or other files.

    Parameters
    ----------
    findings
        Every number of the report. Each is shown rounded, with the exact value in an attribute.
    """
    style = read_style()
    return _read_template().render(
        findings=findings,
        card=findings.card,
        style=Markup(style),
        # The page's security policy admits the style of this digest, and nothing else.
        style_digest=b64encode(sha256(style.encode()).digest()).decode(),
        summary=summarise_findings(findings),
        figures=[draw(findings) for draw in _FIGURES],
        tables=make_tables(findings),
        undone=list_undone(findings),
        validation_types=words.VALIDATION_TYPES,
        **{function.__name__: function for function in _FUNCTIONS},
    )


@cache
def read_style() -> str:
    """Read the stylesheet; its digest is what the page's security policy allows."""
    return (_FOLDER / _STYLE).read_text("utf-8")


@cache
def _read_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        # A name that is missing must fail here, not leave a gap in the report.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
