"""What formats need: neither pandas nor, for other formats, the optional packages."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest
from workbooks import write_xlsx

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocker())
from pathlib import Path
from features.base.errors import KetamineResponseError
from features.base.foreign import translate_errors
from features.records.cohort import read_cohort
for path in sys.argv[1:]:
    try:
        with translate_errors():
            print(read_cohort(Path(path)).size)
    except KetamineResponseError as error:
        print(error)
"""


@pytest.fixture
def cohorts(tmp_path):
    """The same cohort as a workbook, for SPSS and as text."""
    names, row = ["patient_id", "condition", "phq9"], ["a", "depression", 17]
    write_xlsx(tmp_path / "cohort.xlsx", {"Cohort": [names, row]})
    pyreadstat.write_sav(pd.DataFrame([row], columns=names), tmp_path / "cohort.sav")
    (tmp_path / "cohort.csv").write_text("patient_id,condition,phq9\na,depression,17\n")
    return [str(tmp_path / f"cohort.{ending}") for ending in ("xlsx", "sav", "csv")]


def read_without(blocked, cohorts):
    command = [sys.executable, "-c", SCRIPT.format(blocked=blocked), *cohorts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_no_format_needs_pandas(cohorts):
    assert read_without(("pandas", "polars"), cohorts) == ["1", "1", "1"]


def test_missing_package_is_named(cohorts):
    assert read_without(("pyreadstat", "python_calamine"), cohorts) == [
        "this needs the package python_calamine; install it",
        "this needs the package pyreadstat; install it",
        "1",
    ]
