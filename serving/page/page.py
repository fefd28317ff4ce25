"""The clinician's page: one form, one estimate, drawn by the server; no script, no other site."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape

from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field, Group
from features.model.estimate import NO_BASELINE, NO_EARLY, OUTSIDE, REFUSED, TOO_FEW
from features.model.studied import list_early
from features.records.assessment import parse_rows
from features.records.columns import Columns
from features.records.parsing import TEXT_READERS
from serving.base.exchange import Headers, Request, refuse
from serving.estimates.predictor import Predictor

PAGE_FOLDER = Path(__file__).parent
# The page asks for no identifier; this stands for the patient in front of the clinician.
ANONYMOUS = "page"
MOST_INPUTS = 400
PAGE_FILES = MappingProxyType({"page.css": "text/css", "icon.svg": "image/svg+xml"})
# Where a clinician types the key, and what keeps it for a working day.
KEY_INPUT = "access_key"
KEY_LABEL = {"authorization": "Access key"}
KEY_COOKIE = "ketamine_response_key"
KEPT_SECONDS = 8 * 3600

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
class PageFacts:
    """What the page must ask and tell, beside estimates.

    Parameters
    ----------
    asks_key
        Whether a key must be typed.
    stores_inputs
        Whether what is entered is kept.
    """

    asks_key: bool
    stores_inputs: bool


@dataclass(frozen=True)
class Entered:
    """What a clinician typed, and what follows.

    Parameters
    ----------
    values
        Texts as typed, for showing them again; the key is not among them.
    """

    values: Mapping[str, str]
    columns: Columns
    key: str | None = None
    problems: list[Problem] = field(default_factory=list)


def parse_form(body: bytes, dictionary: Dictionary) -> Entered:
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
    key = values.pop(KEY_INPUT, None)
    row = {"patient_id": ANONYMOUS, **values}
    columns, problems = parse_rows([row], readers=TEXT_READERS, dictionary=dictionary)
    return Entered(values, columns, key, problems)


def read_cookie(request: Request) -> str | None:
    """Read the key that the page kept."""
    try:
        cookies = SimpleCookie(request.headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return None
    return cookies[KEY_COOKIE].value if KEY_COOKIE in cookies else None


def keep_key(request: Request, key: str) -> Headers:
    """Keep a key in the browser, where no script and no other site can use it."""
    secure = "; Secure" if request.scope.get("scheme") == "https" else ""
    kept = f"{KEY_COOKIE}={key}; Path=/; Max-Age={KEPT_SECONDS}; HttpOnly; SameSite=Strict{secure}"
    return ((b"set-cookie", kept.encode()),)


@cache
def load_page_file(name: str) -> bytes:
    """Load a file of the page."""
    return (PAGE_FOLDER / name).read_bytes()


def render_page(
    predictor: Predictor,
    facts: PageFacts,
    entered: Entered | None = None,
    results: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Draw the page; with what was answered, or what must be corrected."""
    fields = predictor.dictionary.fields
    cards = [champion.model.card for champion in predictor.champions]
    return load_template().render(
        sections=list(list_sections(predictor)),
        values=entered.values if entered else {},
        problems=entered.problems if entered else [],
        wrong={problem.field for problem in entered.problems} if entered else set(),
        answer=results[0] if results else None,
        facts=facts,
        key_input=KEY_INPUT,
        reasons=REASONS,
        labels={name: field.label for name, field in fields.items()}
        | {"authorization": "Access key"},
        name_fields=lambda names: ", ".join(fields[name].label for name in names),
        unpublished={card.name for card in cards if card.population.published_rate is None},
        simulated=any(card.simulated for card in cards),
        outcomes=[card.outcome for card in cards],
    )


def list_sections(predictor: Predictor) -> Iterator[tuple[str, list[Any]]]:
    """List the form's sections, each with its fields; those that some champion reads are marked."""
    known = predictor.dictionary
    read = {name for c in predictor.champions for name in c.model.equation.fields}
    read |= {champion.model.card.outcome.instrument for champion in predictor.champions}
    sites = {site for c in predictor.champions for site in c.model.equation.sites}
    for index, (title, groups, first) in enumerate(SECTIONS):
        fields = [known.fields[name] for name in first]
        fields += [field for field in known.list_fields(*groups) if field.name != "condition"]
        shown = [(one, one.name in read, one.categories) for one in order_fields(fields, read)]
        if sites and index == 0:
            shown.append((known.fields["site"], True, tuple(sorted(sites))))
        yield title, shown
    if early := sorted({name for c in predictor.champions for name in list_early(c.model.card)}):
        yield (
            "Scores since treatment began",
            [(known.fields[name], name in read, ()) for name in early],
        )


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
