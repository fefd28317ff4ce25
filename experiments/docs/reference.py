"""Reference pages, written from the registries and the commands, so that they cannot drift."""

import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.docs.python_api import list_entries
from features.base.errors import KetamineResponseError
from features.base.files import write_bytes_atomic
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Group
from features.dictionary.horizon import HORIZONS
from features.records.eligibility import RULES, Check
from features.records.mapping import UNITS
from training.candidates.evidence.published import BASE_RATES, EFFECTS
from training.candidates.registry import ENTRY_POINTS, list_built_in
from training.findings.criteria import RULES as GATE_RULES
from training.study.parts import GatePart

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
_TEMPLATES = Path(__file__).parent / "templates"
_WRITTEN = "<!-- Written by `python -m experiments reference`. Change the code, not this page. -->"
# Fixed, so that the page does not depend on the terminal.
_HELP_WIDTH = 96
_SIGNS = {"is": "is", "from": "≥", "above": ">", "below": "<"}


def write_pages(experiments: typer.Typer) -> list[Path]:
    """Write every page; return those that were stale.

    Parameters
    ----------
    experiments
        This package's own commands, which this module may not import: they import it.
    """
    stale = _list_stale(experiments)
    for path, text in stale.items():
        write_bytes_atomic(path, text.encode())
    return list(stale)


def check_pages(experiments: typer.Typer) -> None:
    """Check that the pages are what the code says.

    Raises
    ------
    KetamineResponseError
        If any is stale.
    """
    if stale := _list_stale(experiments):
        names = ", ".join(path.name for path in stale)
        raise KetamineResponseError(f"stale reference pages: {names}; `make fix` writes them")


def _list_stale(experiments: typer.Typer) -> dict[Path, str]:
    names = sorted(path.name for path in _TEMPLATES.iterdir())
    texts = {FOLDER / name: render_page(name, experiments) for name in names}
    return {
        path: text
        for path, text in texts.items()
        if not path.is_file() or path.read_text("utf-8") != text
    }


def render_page(name: str, experiments: typer.Typer) -> str:
    """Render a page from the template of its name."""
    commands = _list_commands(experiments) if name == "commands.md" else ()
    return _open_templates().get_template(name).render(commands=commands)


@cache
def _open_templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,  # Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"summary": _summarise_class, "check": _describe_check}
    environment.globals |= {
        "written": _WRITTEN,
        "api": list_entries(),
        "candidates": list_built_in(),
        "entry_points": ENTRY_POINTS,
        "eligibility": RULES,
        "groups": list(Group),
        "dictionary": load_dictionary(),
        "horizons": HORIZONS,
        "units": UNITS,
        "effects": EFFECTS,
        "base_rates": BASE_RATES,
        "criteria": GATE_RULES,
        "bounds": dict(GatePart()),  # those that apply if a study sets none
    }
    return environment


def _summarise_class(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def _describe_check(check: Check) -> str:
    field = load_dictionary().fields[check.field]
    value = field.categories[int(check.value)] if field.categories else f"{check.value:g}"
    shown = "true" if field.kind == "flag" else value
    return f"`{check.field}` {_SIGNS[check.comparison]} {shown}"


def _list_commands(experiments: typer.Typer) -> Iterator[tuple[str, str]]:
    from serving.__main__ import app as serving
    from training.__main__ import app as training

    for name, app in (("experiments", experiments), ("training", training), ("serving", serving)):
        yield from _list_help(f"python -m {name}", typer.main.get_command(app))


def _list_help(path: str, group: Any) -> Iterator[tuple[str, str]]:
    for name, command in sorted(group.commands.items()):
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _list_help(full, command)
        else:
            width = {"max_content_width": _HELP_WIDTH, "terminal_width": _HELP_WIDTH}
            context = command.make_context(full, [], resilient_parsing=True, **width)
            yield full, command.get_help(context)
