"""The clinician's page: one form, one estimate, drawn by the server; no script, no other site."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape

from features.assessment import parse_rows
from features.columns import Columns
from features.errors import Problem
from features.field import Field, Group
from features.fields import FIELDS, list_fields
from features.parsing import TEXT_READERS
from features.studied import list_early
from serving.bodies import refuse
from serving.predictor import (
    NO_BASELINE,
    NO_EARLY,
    OUTSIDE,
    REFUSED,
    TOO_FEW,
    Predictor,
)

PAGE_FOLDER = Path(__file__).parent / "page"
# The page asks for no identifier; this stands for the patient in front of the clinician.
ANONYMOUS = "page"
MOST_INPUTS = 400

SECTIONS = (
    ("Condition and plan", (Group.REGIMEN,), ("condition",)),
    ("Baseline scores", (Group.SCORE,), ()),
    ("Background", (Group.BACKGROUND,), ()),
    ("History", (Group.HISTORY,), ()),
    ("Screening", (Group.SCREENING,), ()),
)
REASONS = {
    REFUSED: "No estimate: a screening rule says this patient should not be treated as planned.",
    NO_BASELINE: "No estimate: improvement cannot be judged without the baseline total.",
    NO_EARLY: "No estimate yet: it is made from a score taken after treatment has begun.",
    OUTSIDE: "No estimate: this patient is unlike anyone studied in",
    TOO_FEW: "No estimate: too few patients like this one were studied.",
}


@dataclass(frozen=True)
class Entered:
    """What a clinician typed, and what follows.

    Parameters
    ----------
    values
        Texts as typed, for showing them again.
    """

    values: Mapping[str, str]
    columns: Columns
    problems: list[Problem] = field(default_factory=list)


def parse_form(body: bytes) -> Entered:
    """Read a submitted form; an empty input is missing.

    Raises
    ------
    RequestError
        If it is not a form of this page's size.
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), max_num_fields=MOST_INPUTS, strict_parsing=bool(body)
        )
    except ValueError:
        refuse(400, "body", "form", "must be the page's form")
    values = {name: typed.strip() for name, typed in pairs if typed.strip()}
    row = {"patient_id": ANONYMOUS, **values}
    columns, problems = parse_rows([row], readers=TEXT_READERS)
    return Entered(values, columns, problems)


def render_page(predictor: Predictor, entered: Entered | None = None) -> str:
    """Draw the page; with an estimate where something valid was entered."""
    answered = entered is not None and not entered.problems
    answer = predictor.estimate(entered.columns)[0] if entered and answered else None
    return load_template().render(
        sections=list(list_sections(predictor)),
        values=entered.values if entered else {},
        problems=entered.problems if entered else [],
        wrong={problem.field for problem in entered.problems} if entered else set(),
        answer=answer,
        reasons=REASONS,
        labels={name: declared.label for name, declared in FIELDS.items()},
        name_fields=name_fields,
        simulated=any(champion.model.card.simulated for champion in predictor.champions),
        outcomes=[champion.model.card.outcome for champion in predictor.champions],
    )


def name_fields(names: list[str]) -> str:
    """Name fields by their labels."""
    return ", ".join(FIELDS[name].label for name in names)


def list_sections(predictor: Predictor) -> Iterator[tuple[str, list[Any]]]:
    """List the form's sections, each with its fields; those that some champion reads are marked."""
    read = {name for c in predictor.champions for name in c.model.equation.fields}
    read |= {champion.model.card.outcome.instrument for champion in predictor.champions}
    sites = {site for c in predictor.champions for site in c.model.equation.sites}
    for title, groups, first in SECTIONS:
        fields = [FIELDS[name] for name in first]
        fields += [one for one in list_fields(*groups) if one.name != "condition"]
        shown = [(one, one.name in read, one.categories) for one in order_fields(fields, read)]
        if sites and title == SECTIONS[0][0]:
            shown.append((FIELDS["site"], True, tuple(sorted(sites))))
        yield title, shown
    if early := sorted({name for c in predictor.champions for name in list_early(c.model.card)}):
        yield "Scores since treatment began", [(FIELDS[name], name in read, ()) for name in early]


def order_fields(fields: list[Field], read: set[str]) -> list[Field]:
    """Put required fields first, then those that some champion reads."""
    return sorted(fields, key=lambda one: (not one.required, one.name not in read))


@cache
def load_template() -> Template:
    """Load the page's template, with escaping on."""
    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER), autoescape=select_autoescape(), trim_blocks=True
    )
    return environment.get_template("page.html")
