"""Items of a file: those of the instrument that they are named for, or of a shorter scale."""

import pytest

from features.base.errors import CohortError
from features.dictionary.dictionary import load_dictionary
from features.records.cohort import read_cohort


@pytest.fixture
def list_problems(tmp_path):
    """List the problems of a cohort, given as rows of fields."""

    def list_problems(rows, **columns):
        names = list(dict.fromkeys(name for row in rows for name in row) | columns)
        lines = [",".join(["patient_id", "condition", *names])]
        for number, row in enumerate(rows):
            values = (str((columns | row).get(name, "")) for name in names)
            lines.append(",".join([f"p{number}", "depression", *values]))
        path = tmp_path / "cohort.csv"
        path.write_text("\n".join(lines) + "\n")
        try:
            read_cohort(path)
        except CohortError as error:
            return [(problem.field, problem.rule, problem.message) for problem in error.problems]
        return []

    return list_problems


def answer(key, numbers, score=2):
    return {f"{key}_{number}": score for number in numbers}


@pytest.mark.parametrize(
    ("key", "asked", "absent", "name"),
    [
        ("phq9", 8, "phq9_9 is in no row", "PHQ-8"),
        ("pcl5", 16, "pcl5_17 … pcl5_20 (4 items) are in no row", "PCL-C"),
        ("pcl5", 17, "pcl5_18, pcl5_19, pcl5_20 are in no row", "PCL-C"),
        ("cesd", 10, "cesd_11 … cesd_20 (10 items) are in no row", "CES-D-10"),
        ("gad7", 6, "gad7_7 is in no row", "GAD-2"),
        ("hama", 13, "hama_14 is in no row", "a shorter scale, or"),
    ],
)
def test_items_of_a_shorter_scale_are_refused(list_problems, key, asked, absent, name):
    rows = [answer(key, range(1, asked + 1), score) for score in (1, 2, 2)]
    problems = [p for p in list_problems(rows) if p[0] == key]
    ((field, rule, message),) = problems
    assert (field, rule) == (key, "items")
    assert message.startswith(absent)
    assert name in message


def test_a_column_that_is_blank_in_every_row_is_not_there(list_problems):
    rows = [answer("phq9", range(1, 9))] * 2
    assert [rule for _, rule, _ in list_problems(rows, phq9_9="")] == ["items"]
    assert list_problems([*rows, answer("phq9", range(1, 10))]) == []


def test_one_patient_may_leave_an_item_blank(list_problems):
    row = answer("phq9", range(1, 9))
    assert list_problems([row], phq9_9="") == []
    assert [rule for _, rule, _ in list_problems([row])] == ["items"], "it has no such column"


def test_totals_show_that_other_items_were_asked(list_problems):
    """With totals above the sum of the items that are there, only the items were left out."""
    suicidality = [{"phq9": 14, "phq9_9": 1}, {"phq9": 9, "phq9_9": 0}]
    assert list_problems(suicidality) == []
    eight = answer("phq9", range(1, 9))
    assert list_problems([eight | {"phq9": 16}, eight | {"phq9": 17}]) == []
    assert [rule for _, rule, _ in list_problems([eight | {"phq9": 16}] * 2)] == ["items"]


def test_items_that_share_a_score_stand_for_each_other(list_problems):
    """A patient eats less or more: the QIDS asks item 6 or 7, and 8 or 9."""
    numbers = [n for n in range(1, 17) if n not in (7, 9)]
    row = answer("qids", numbers, 1) | {"qids": 9}
    assert list_problems([row, row]) == []


@pytest.mark.parametrize(("asked", "refused"), [(2, []), (3, ["form"]), (4, [])])
def test_a_whole_subscale_is_not_a_short_form(tmp_path, asked, refused):
    """The form has four items, its subscale the first two."""
    facts = 'measures = "pain"\nrecall_days = 7\nsource = "made up"\n'
    form = f'[form]\nname = "Form"\nitem_highs = [3, 3, 3, 3]\n{facts}'
    part = f'[part]\nname = "Part"\nitem_highs = [3, 3]\nitem_names = ["form_1", "form_2"]\n{facts}'
    (tmp_path / "scales.toml").write_text(form + part)
    names = [f"form_{number}" for number in range(1, asked + 1)]
    lines = [",".join(["patient_id", "condition", *names])]
    lines += [",".join([f"p{n}", "depression", *["1"] * asked]) for n in range(3)]
    (tmp_path / "cohort.csv").write_text("\n".join(lines) + "\n")
    fields = []
    try:
        dictionary = load_dictionary(tmp_path / "scales.toml")
        columns = read_cohort(tmp_path / "cohort.csv", dictionary=dictionary)
        assert columns.get_numbers("part").tolist() == [2, 2, 2]
    except CohortError as error:
        fields = [problem.field for problem in error.problems]
    assert fields == refused
