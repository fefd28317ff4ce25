"""The README and the docs: their links, the files that they name, and their tables."""

import re
import tomllib
from importlib import import_module
from itertools import takewhile
from operator import attrgetter
from pathlib import Path

import pytest
from pages import BLOCK, PAGES, ROOT, find_unprinted, list_commands, name_page
from pydantic import TypeAdapter

from features.dictionary.horizon import HORIZONS
from features.intake.plan import Plan
from features.records.mapping import read_mapping
from features.sources.source_form import SourceForm
from features.sources.tables import FORMATS, list_options
from serving.base.settings import ServingSettings
from serving.http.routes import ROUTES
from training.candidates.registry import complete_study
from training.study.parts import FeaturePart
from training.study.study import read_study

REFERENCE = ROOT / "docs" / "reference"


def list_anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


def test_unprinted_line_is_noticed():
    printed = "first line\nsecond 17 line\nthird line\n"
    assert find_unprinted(["first line", "…", "second … line"], printed) is None
    assert find_unprinted(["second 18 line"], printed) == "second 18 line"
    assert find_unprinted(["third line", "first line"], printed) == "first line"


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_commands_are_in_console_blocks(page):
    """Only these are run by tests; other blocks are files, tables or output."""
    for language, block in re.findall(
        r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
    ):
        assert language in ("console", "toml", "text", "")
        if language != "console" and page.name != "commands.md":
            assert not re.search(r"^\$ |^python -m|^make ", block, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_links_lead_to_files(page):
    """The file exists, and so does the heading if the link names one."""
    text = page.read_text("utf-8")
    for path, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if not path.startswith("http"):
            target = page.parent / path if path else page
            assert target.exists(), path
            assert not heading or heading in list_anchors(target), heading


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_files_named_on_pages_exist(page):
    for name in re.findall(r"`((?:features|training|serving|experiments|tests)/[\w./-]+)`",
                           page.read_text("utf-8")):  # fmt: skip
        assert (ROOT / name).exists(), name


def test_study_of_the_reference_page_is_valid(tmp_path):
    """With the files that it names, as their pages have them."""
    pages = ("reference/studies.md", "reference/dictionaries.md", "how-to/extend-the-dictionary.md")
    texts = [(ROOT / "docs" / page).read_text("utf-8") for page in pages]
    names = ("study.toml", "my_scales.toml", "my_clinic.toml")
    for name, text in zip(names, texts, strict=True):
        (tmp_path / name).write_text(BLOCK.search(text)[2])
    # The page writes it by a command, between its first line and the last.
    command, _ = list_commands(ROOT / "docs/how-to/import-a-published-equation.md")[0]
    (tmp_path / "invented2026.toml").write_text("\n".join(command.splitlines()[1:-1]))
    study = read_study(tmp_path / "study.toml")
    # The features that the page names as examples are not those of the equation.
    every = study.model_copy(update={"features": FeaturePart()})
    assert complete_study(every) is every
    known = study.dictionary
    assert [known.instruments[key].high for key in ("bpi", "lsas")] == [40, 144]
    assert known.fields["prs_depression"].unit == "SD"


def test_mappings_of_the_reference_page_are_valid(tmp_path):
    text = (ROOT / "docs" / "reference" / "mappings.md").read_text("utf-8")
    mappers = []
    for language, block in BLOCK.findall(text):
        assert language == "toml"
        (tmp_path / "mapping.toml").write_text(block)
        mappers.append(read_mapping(tmp_path / "mapping.toml"))
    assert mappers[0].units == {"episode_months": "years"}
    assert len({name for mapper in mappers for name in mapper.derive}) == 10


def test_windows_of_the_reference_page_are_those_applied():
    rows = {row[0].strip("`"): row[1:] for row in list_cells(REFERENCE / "mappings.md")}
    plan = Plan()
    for horizon in HORIZONS:
        low, high, target, choice = plan.get_window(horizon)
        assert rows[horizon] == [f"{low:g} to {high:g}", f"{target:g}", choice]
    days, choice = plan.get_baseline()
    assert rows["baseline"] == [f"\N{MINUS SIGN}{days:g} to 0", "", choice]


def test_keys_of_the_formats_page_are_those_of_a_source():
    """In the examples, and in the table for each ending that is known."""
    page = ROOT / "docs" / "reference" / "formats.md"
    blocks = [block for language, block in BLOCK.findall(page.read_text("utf-8"))]
    keys = {key for block in blocks for key in tomllib.loads(block)}
    assert keys == set(SourceForm.model_fields)
    assert all(SourceForm.model_validate(tomllib.loads(block)) for block in blocks)
    rows = [row for row in list_cells(page) if row[0].startswith("`.")]
    assert {ending for row in rows for ending in re.findall("`(.+?)`", row[0])} == set(FORMATS)
    for endings, _, named, _ in rows:
        for ending in re.findall("`(.+?)`", endings):
            assert set(re.findall("`(.+?)`", named)) == set(list_options(ending))


def list_cells(page: Path) -> list[list[str]]:
    """List the rows of a page's tables, cell by cell."""
    lines = page.read_text("utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]


def test_settings_page_lists_every_setting():
    """With the service's default."""
    rows = {row[0].strip("`"): row[1].strip("`") for row in list_cells(REFERENCE / "http.md")}
    defaults = {
        name: TypeAdapter(field.annotation).validate_strings(rows[name])
        for name, field in ServingSettings.model_fields.items()
    }
    assert defaults == ServingSettings().model_dump()


def test_http_page_lists_every_route():
    """Except the page's own files."""
    listed = {route for row in list_cells(REFERENCE / "http.md") for route in row[0].split(", ")}
    routes = {f"`{route.method} {route.path}`" for route in ROUTES if "/page/" not in route.path}
    assert routes - listed == set()


def test_measures_page_names_functions_that_exist():
    rows = list_cells(REFERENCE / "measures.md")
    first = rows.index(["module", "functions to call"]) + 2
    table = list(takewhile(lambda row: row[0].startswith("`"), rows[first:]))
    assert table
    for module, functions in table:
        loaded = import_module(f"training.measures.{module.strip('`')}")
        for name in re.findall(r"`([\w.]+)`", functions):
            assert attrgetter(name)(loaded)


def test_words_are_in_alphabetical_order():
    words = [row[0].lower() for row in list_cells(REFERENCE / "words.md")[2:]]
    assert words == sorted(words)
    assert len(words) == len(set(words))
