"""The clinician's page: one form, one estimate; rendered by the server, without any script."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape
from starlette.requests import Request
from starlette.responses import Response

from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Group
from features.model.estimate import NO_BASELINE, NO_EARLY, NO_VALUE, OUTSIDE, REFUSED, TOO_FEW
from features.model.studied import list_early
from features.records.assessment import parse_rows
from features.records.columns import Columns
from features.records.parsing import TEXT_READERS
from serving.base.exchange import refuse
from serving.estimates.predictor import Predictor

PAGE_FOLDER = Path(__file__).parent
# Stands in for the identifier, which the page does not ask for.
ANONYMOUS = "page"
# The form has fewer inputs; a body of a million is not parsed.
MAX_INPUTS = 400
PAGE_FILES = MappingProxyType({"page.css": "text/css", "icon.svg": "image/svg+xml"})
# The input for the key, and the cookie that keeps it for a working day.
KEY_INPUT = "access_key"
KEY_LABEL = {"authorization": "Access key"}
KEY_COOKIE = "ketamine_response_key"
KEPT_SECONDS = 8 * 3600

SECTIONS = (
    ("Condition and plan", Group.REGIMEN),
    ("Baseline scores", Group.SCORE),
    ("Background", Group.BACKGROUND),
    ("History", Group.HISTORY),
    ("Screening", Group.SCREENING),
)
REASONS = {
    REFUSED: "No estimate: a screening rule says this patient should not be treated as planned.",
    NO_BASELINE: "No estimate: improvement cannot be judged without the baseline total.",
    NO_EARLY: "No estimate yet: this model needs a score taken after treatment began.",
    NO_VALUE: "No estimate: the published equation needs a value that is missing.",
    OUTSIDE: "No estimate: this patient is outside the range studied for",
    TOO_FEW: "No estimate: too few patients like this one were studied.",
}


@dataclass(frozen=True)
class Entered:
    """What a clinician entered, and how it was parsed."""

    values: Mapping[str, str]  # Texts as entered, to show them again; without the key
    columns: Columns
    key: str | None = None
    problems: list[Problem] = field(default_factory=list)


def parse_form(body: bytes, dictionary: Dictionary) -> Entered:
    """Read a form of the page; an empty input is a missing value. Raises RequestError."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), max_num_fields=MAX_INPUTS, strict_parsing=bool(body)
        )
    except ValueError:
        refuse(400, "body", "form", "must be the page's form")
    values = {name: text.strip() for name, text in pairs if text.strip()}
    key = values.pop(KEY_INPUT, None)
    row = {"patient_id": ANONYMOUS, **values}
    columns, problems = parse_rows([row], readers=TEXT_READERS, dictionary=dictionary)
    return Entered(values, columns, key, problems)


def read_cookie(request: Request) -> str:
    """Read the key that the browser has kept for the page; empty if it has none."""
    return request.cookies.get(KEY_COOKIE, "")


def keep_key(response: Response, key: str, secure: bool) -> None:
    """Keep a key in the browser, where no script and no other site can use it."""
    response.set_cookie(
        KEY_COOKIE, key, KEPT_SECONDS, secure=secure, httponly=True, samesite="strict"
    )


@cache
def load_page_file(name: str) -> bytes:
    """Load a file of the page."""
    return (PAGE_FOLDER / name).read_bytes()


def render_page(
    predictor: Predictor,
    entered: Entered | None = None,
    results: Sequence[Mapping[str, Any]] = (),
    *,
    asks_key: bool,
    stores_inputs: bool,
) -> str:
    """Render the page: empty, with an estimate, or with what must be corrected."""
    fields = predictor.dictionary.fields
    cards = [champion.model.card for champion in predictor.champions]
    return _load_template().render(
        sections=list(_list_sections(predictor)),
        values=entered.values if entered else {},
        problems=entered.problems if entered else [],
        wrong={problem.field for problem in entered.problems} if entered else set(),
        answer=results[0] if results else None,
        asks_key=asks_key,
        stores_inputs=stores_inputs,
        key_input=KEY_INPUT,
        reasons=REASONS,
        labels={name: field.label for name, field in fields.items()} | KEY_LABEL,
        name_fields=lambda names: ", ".join(fields[name].label for name in names),
        name_choice=lambda name, choice: (
            choice if name == "site" else predictor.dictionary.label_category(choice)
        ),
        treatment="ketamine" if all(card.is_of_ketamine for card in cards) else "treatment",
        unpublished={card.name for card in cards if card.population.published_rate is None},
        published={card.name for card in cards if card.published is not None},
        simulated=any(card.simulated for card in cards),
        outcomes=[card.outcome for card in cards],
    )


def _list_sections(predictor: Predictor) -> Iterator[tuple[str, list[Any]]]:
    known = predictor.dictionary
    read = {name for c in predictor.champions for name in c.model.equation.fields}
    read |= {champion.model.card.outcome.instrument for champion in predictor.champions}
    sites = {site for c in predictor.champions for site in c.model.equation.sites}
    for title, group in SECTIONS:
        first = [known.fields["condition"]] if group is Group.REGIMEN else []
        fields = [*first, *(f for f in known.list_fields(group) if f.name != "condition")]
        fields.sort(key=lambda field: (not field.required, field.name not in read))
        shown = [(field, field.name in read, field.categories) for field in fields]
        if sites and group is Group.REGIMEN:
            shown.append((known.fields["site"], True, tuple(sorted(sites))))
        yield title, shown
    if early := sorted({name for c in predictor.champions for name in list_early(c.model.card)}):
        shown = [(known.fields[name], name in read, ()) for name in early]
        yield "Scores since treatment began", shown


@cache
def _load_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER), autoescape=select_autoescape(), trim_blocks=True
    )
    return environment.get_template("page.html")
