"""Rendering: the templates of every report, and the stylesheet in each HTML file."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from features.model.card import SIMULATED_NOTE
from training.report.layout import write_table

_FOLDER = Path(__file__).parent / "templates"
_STYLE = "report.css"


@cache
def read_style() -> str:
    """Read the stylesheet; its digest is what the page's security policy allows."""
    return (_FOLDER / _STYLE).read_text("utf-8")


def render_page(environment: Environment, template: str, **facts: Any) -> str:
    """Render a template as one HTML file that holds its own style."""
    style = read_style()
    return environment.get_template(template).render(
        facts,
        style=Markup(style),
        # The page's security policy admits the style of this digest, and nothing else.
        style_digest=b64encode(sha256(style.encode()).digest()).decode(),
    )


def make_environment(**names: Any) -> Environment:
    """Make the environment of templates, with functions and values that they use by name."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(["html"]),
        # A name that is missing must fail here, not leave a gap in the report.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["table"] = write_table
    environment.globals |= {"simulated_note": SIMULATED_NOTE, **names}
    return environment
