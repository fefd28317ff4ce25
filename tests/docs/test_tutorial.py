"""Commands print what the pages show: README, tutorial, and pages that start servers."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from pages import TUTORIAL, name_page


@pytest.mark.parametrize("page", TUTORIAL, ids=name_page)
def test_commands_print_what_the_page_shows(clone, page):
    clone.check(page)


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
