"""The notebook tutorial: every cell runs, and jupytext makes a notebook of it."""

import ast
import re
from contextlib import chdir
from pathlib import Path

import jupytext
import matplotlib as mpl
import nbformat
import pandas as pd
import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "notebook.py"


def show_cell(source, names):
    """Run a cell as Jupyter does; returns what it displays: the value of its last expression."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, []), TUTORIAL.name, "exec"), names)
    return last and eval(compile(ast.Expression(last.value), TUTORIAL.name, "eval"), names)


@pytest.fixture(scope="module")
def run(tmp_path_factory, empty_store, move_home):
    """What the cells displayed, their variables, and the folder they ran in."""
    folder = tmp_path_factory.mktemp("notebook")
    move_home(empty_store, folder / "notebook-home")
    names = {"__name__": "__main__"}
    backend = mpl.get_backend()
    mpl.use("Agg")
    cells = [cell for cell in jupytext.read(TUTORIAL).cells if cell.cell_type == "code"]
    with chdir(folder):
        shown = [show_cell(cell.source, names) for cell in cells]
    names["plt"].close("all")
    mpl.use(backend)
    return folder, names, shown


def test_every_cell_runs_and_writes_what_it_names(run):
    folder, names, shown = run
    assert len(shown) > 15
    assert [problem.field for problem in names["problems"]] == ["Prior ADs", "entered_by"]
    assert (folder / "calibration.png").stat().st_size > 5_000
    assert (folder / "validation.html").read_text("utf-8").startswith("<!doctype html>")
    written = {path.name for path in folder.iterdir()}
    assert written == {"export.csv", "notebook-home", "calibration.png", "validation.html"}


def test_what_is_learned_from_simulated_patients_is_marked(run):
    shown = [repr(value) for value in run[2]]
    marked = [text for text in shown if text.startswith(("Cohort(", "FitResult(", "Model("))]
    assert len(marked) == 3
    assert all("SIMULATED" in text for text in marked)


def test_mapping_gives_back_the_patients(run):
    """The cohort has the values from which the export was made, whatever their words and units."""
    names = run[1]
    made = names["patients"].set_index("patient_id")
    read = names["cohort"].frame.set_index("patient_id")
    assert read.index.tolist() == made.index.tolist()
    for field in ("bmi", "episode_months", "failed_antidepressants", "phq9", "phq9_acute", "age"):
        # Totals that were not recorded are derived from the items.
        expected = made[field].dropna().astype(float)
        pd.testing.assert_series_equal(read[field][expected.index], expected, rtol=1e-12)
    assert read["sex"].tolist() == made["sex"].tolist()


def test_model_of_the_tutorial_answers(run):
    """Its model beats the base rate, so that there is something to explain."""
    names = run[1]
    assert names["result"].alias == "champion"
    assert names["estimates"]["probability"].notna().mean() > 0.8
    assert len(names["factors"].columns) > 10


def test_jupytext_makes_a_notebook_and_takes_it_back():
    source = TUTORIAL.read_text("utf-8")
    notebook = jupytext.reads(source, "py:percent")
    text = jupytext.writes(notebook, "ipynb")
    nbformat.validate(nbformat.reads(text, as_version=4))
    again = jupytext.reads(text, "ipynb")
    assert [cell.source for cell in again.cells] == [cell.source for cell in notebook.cells]
    assert not any(cell.get("outputs") for cell in again.cells)


def test_links_of_the_tutorial_lead_to_files():
    for link in re.findall(r"\]\(([^)#]+)", TUTORIAL.read_text("utf-8")):
        assert (TUTORIAL.parent / link).exists(), link
