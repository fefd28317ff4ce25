"""Trials that a mapping alone reads, without a reader, from files as they lie on disk.

Their files are not here: small ones of the same shape are made up. The real ones are read where
they are.
"""

from pathlib import Path

import numpy as np
import pytest

from features.records.cohort import read_intake
from features.records.mapping import read_mapping
from training.study.courses import load_design
from training.study.study import read_study

FOLDER = Path(__file__).parents[3] / "experiments"
# Two who ran first and two who waited; Windows line ends and no last one, as in the real files.
PARTICIPANTS = (
    "participant_id\tgroup\tage\tsex\tsize\tweight\n"
    "sub-1\t1\t22\tF\t1.60\t64\n"
    "sub-2\t1\t20\tM\t2\t80\n"
    "sub-3\t2\t27\tF\t1.57\t53\n"
    "sub-4\t2\t21\tF\t1.68\tn/a\n"
).replace("\n", "\r\n")
SCORES = (
    "participant_id\tCES-D_1\tCES-D_2\tCES-D_3\n"
    "sub-1\t27.00\t12.00\t17.00\nsub-2\t12.00\t9.00\t1.00\n"
    "sub-3\t5.00\t20.00\t10.00\nsub-4\t6.00\t18.00\t17.00"
)


@pytest.fixture
def running(tmp_path):
    """A folder like that of the running intervention."""
    folder = tmp_path / "ds003799"
    for name in ("phenotype", "sub-1", "derivatives"):
        (folder / name).mkdir(parents=True)
    (folder / "participants.tsv").write_bytes(PARTICIPANTS.encode())
    (folder / "phenotype" / "CES-D.tsv").write_text(SCORES)
    for name in ("participants.json", "dataset_description.json", "phenotype/CES-D.json"):
        (folder / name).write_text("{}")
    (folder / "README").write_text("Description of the study")
    return folder


def read(name, study, path):
    """Read a trial's cohort by a mapping of its own."""
    known = read_study(FOLDER / "studies" / f"{study}.toml").dictionary
    mapper = read_mapping(FOLDER / "trials" / f"{name}.mapping.toml", known)
    return read_intake(path, mapper, dictionary=known)


def list_rows(columns, *names):
    """List rows as patient and numbers."""
    numbers = [columns.get_numbers(name).tolist() for name in names]
    return dict(zip(columns.get_texts("patient_id"), zip(*numbers, strict=True), strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fink_running", {"sub-1": (27, 12, 22), "sub-2": (12, 9, 20)}),
        ("fink_running_waiting", {"sub-3": (20, 10, 27), "sub-4": (18, 17, 21)}),
    ],
)
def test_each_group_of_runners_has_its_own_baseline(running, name, expected):
    """Before and after its own two weeks of running; the other group is left aside and counted."""
    columns, account = read(name, "fink_running", running)
    assert list_rows(columns, "cesd", "cesd_week2", "age") == expected
    patients = account.as_dict()["patients"]
    assert (patients["read"], patients["used"]) == (4, 2)
    assert sum(entry["patients"] for entry in patients["aside"]) == 2


def test_body_mass_index_comes_from_size_and_weight(running):
    columns, _ = read("fink_running", "fink_running", running)
    assert columns.get_numbers("bmi").tolist() == pytest.approx([25, 20])
    columns, _ = read("fink_running_waiting", "fink_running", running)
    assert np.isnan(columns.get_numbers("bmi")).tolist() == [False, True]


def test_real_runners_are_21_and_27_with_6_and_3_responders(trials):
    """Counted without the project's code from the data set's version 2.0.0."""
    folder = trials / "openneuro-ds003799"
    if not folder.is_dir():
        pytest.skip("REAL TRIAL ABSENT: openneuro-ds003799 is not in shared/data")
    for name, expected in (("fink_running", (21, 6)), ("fink_running_waiting", (27, 3))):
        columns, _ = read(name, "fink_running", folder)
        before, after = columns.get_numbers("cesd"), columns.get_numbers("cesd_week2")
        assert (columns.size, int((2 * after <= before).sum())) == expected
    design = load_design(read_study(FOLDER / "studies" / "fink_running.toml"), folder)
    assert (design.size, design.events) == (21, 6)


# Patient 1 is complete; 2 lacks the end of the placebo week and the last week; 3 has no follow-up.
WEEKS = """id,hamd,week,endog
1,26,0,0
1,22,1,0
1,18,2,0
1,7,3,0
1,4,4,0
1,3,5,0
2,33,0,1
2,NA,1,1
2,15,2,1
2,24,3,1
2,17,4,1
2,NA,5,1
3,20,0,1
3,21,1,1
"""


@pytest.fixture
def imipramine(tmp_path):
    """A file like the printed table of the imipramine patients."""
    path = tmp_path / "reisby.csv"
    path.write_text(WEEKS)
    return path


def test_end_of_the_placebo_week_is_the_baseline(imipramine):
    """Its start if the end is missing; week 4 if week 5 is."""
    columns, account = read("reisby_imipramine", "reisby_imipramine", imipramine)
    names = ("hamd17", "hamd17_week1", "hamd17_week2", "hamd17_acute", "endogenous")
    rows = list_rows(columns, *names)
    assert rows["1"] == (22, 18, 7, 3, 0)
    assert rows["2"] == (33, 15, 24, 17, 1)
    assert rows["3"][0] == 21
    assert np.isnan(rows["3"][1:4]).all()
    assert account.as_dict()["patients"] == {"read": 3, "used": 3, "aside": []}


def test_plasma_levels_are_no_field_of_a_baseline(imipramine):
    """They are measured after the first dose: ignored if the file has them."""
    lines = WEEKS.strip().splitlines()
    levels = [lines[0] + ",imipramine", *(f"{line},80.5" for line in lines[1:])]
    imipramine.write_text("\n".join(levels) + "\n")
    columns, _ = read("reisby_imipramine", "reisby_imipramine", imipramine)
    assert columns.size == 3


def test_study_of_imipramine_asks_for_what_the_trial_recorded(imipramine):
    design = load_design(read_study(FOLDER / "studies" / "reisby_imipramine.toml"), imipramine)
    assert (design.size, design.events) == (2, 1)
    assert [feature.field for feature in design.features] == ["hamd17", "endogenous"]
