"""Commands in the README and the docs print what the pages show."""

import json
import re
from importlib import import_module
from itertools import takewhile
from operator import attrgetter
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from features.records.mapping import read_mapping
from serving.base.settings import ServingSettings
from training.study.study import read_study

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "docs" / "reference"
REAL_DATA = "bring-your-own-cohort.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def list_commands(page: Path) -> list[tuple[str, list[str]]]:
    """List a page's commands, each with its expected lines."""
    commands: list[tuple[str, list[str]]] = []
    blocks = [b for language, b in BLOCK.findall(page.read_text("utf-8")) if language == "console"]
    for line in "".join(blocks).splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line.startswith(">"):
            commands[-1] = (f"{commands[-1][0]}\n{line[2:]}", commands[-1][1])
        else:
            commands[-1][1].append(line)
    return commands


def find_unprinted(expected: list[str], printed: str) -> str | None:
    """Return the first line that was not printed, in order; `…` matches anything."""
    lines = iter(printed.splitlines())
    for line in expected:
        pattern = re.escape(line).replace("…", ".*")
        if line != "…" and not any(re.fullmatch(pattern, shown) for shown in lines):
            return line
    return None


def list_anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda page: (page.name != "README.md", "tutorial" not in str(page), str(page)),
)
WITH_COMMANDS = [page for page in PAGES if list_commands(page)]


def test_unprinted_line_is_noticed():
    printed = "first line\nsecond 17 line\nthird line\n"
    assert find_unprinted(["first line", "…", "second … line"], printed) is None
    assert find_unprinted(["second 18 line"], printed) == "second 18 line"
    assert find_unprinted(["third line", "first line"], printed) == "first line"


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_print_what_the_page_shows(clone, page):
    if page.name == REAL_DATA and not (clone.folder / "ds005917").exists():
        pytest.skip("REAL TRIALS ABSENT: shared/data is not beside this checkout")
    clone.open_page()
    try:
        for command, expected in list_commands(page):
            printed = clone.run(command)
            missing = find_unprinted(expected, printed)
            assert missing is None, f"$ {command}\nnever printed: {missing}\n{printed[-3000:]}"
            assert "Traceback" not in printed, printed
    finally:
        clone.close_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_in_console_blocks(page):
    """Only these are run by tests; other blocks are files, tables or output."""
    for language, block in re.findall(
        r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
    ):
        assert language in ("console", "toml", "text", "")
        if language != "console" and page.name != "commands.md":
            assert not re.search(r"^\$ |^python -m|^make ", block, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    """The file exists, and so does the heading if the link names one."""
    text = page.read_text("utf-8")
    for path, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if not path.startswith("http"):
            target = page.parent / path if path else page
            assert target.exists(), path
            assert not heading or heading in list_anchors(target), heading


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_on_pages_exist(page):
    for name in re.findall(r"`((?:features|training|serving|experiments|tests)/[\w./-]+)`",
                           page.read_text("utf-8")):  # fmt: skip
        assert (ROOT / name).exists(), name


def test_study_of_the_reference_page_is_valid(tmp_path):
    text = (ROOT / "docs" / "reference" / "studies.md").read_text("utf-8")
    study, scales = [block for language, block in BLOCK.findall(text) if language == "toml"]
    (tmp_path / "study.toml").write_text(study)
    (tmp_path / "my_scales.toml").write_text(scales)
    known = read_study(tmp_path / "study.toml").dictionary
    assert known.instruments["bpi"].high == 40


def test_mapping_of_the_reference_page_is_valid(tmp_path):
    text = (ROOT / "docs" / "reference" / "mappings.md").read_text("utf-8")
    (block,) = [block for language, block in BLOCK.findall(text) if language == "toml"]
    (tmp_path / "mapping.toml").write_text(block)
    assert read_mapping(tmp_path / "mapping.toml").units == {"episode_months": "years"}


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


def test_demonstration_shows_fit_pull_score_and_estimate(clone):
    shown = clone.printed["make demo"]
    assert re.search(r"^MLflow run +[0-9a-f]{32}$", shown, re.MULTILINE)
    assert re.search(r"^Champion +phq9\.acute\.response version \d+$", shown, re.MULTILINE)
    table = re.search(r"^candidate .*?\n\n", shown, re.MULTILINE | re.DOTALL).group()
    base = re.search(r"base_rate +(\d\.\d{3}) \(\1\)", table).group(1)
    assert all(f"({base})" in line for line in table.splitlines()[1:] if line)
    scores = Path(re.search(r"^Scored file +(.*)$", shown, re.MULTILINE).group(1))
    assert len(pd.read_parquet(scores)) == 500
    answer = json.loads(shown[shown.index("\n{") : shown.rindex("\n}") + 2])
    (estimate,) = answer["estimates"]
    assert 0 < estimate["probability"] < 1
    assert estimate["model"]["data"] == "simulated"
    assert shown.count("SIMULATED") >= 2
