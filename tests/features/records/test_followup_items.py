"""Follow-ups by items: totalled by the instrument's own rule, as baselines are."""

import pytest

from features.base.errors import CohortError
from features.records.cohort import digest_cohort, read_cohort
from features.records.mapping import read_mapping

ITEMS = [f"phq9_{number}" for number in range(1, 10)]
ACUTE = [f"{name}_acute" for name in ITEMS]
# Nine answers: whole, pro-rated (7 of 9 answered), and too few for a total.
ANSWERS = ["3 3 2 2 1 1 1 0 0", "3 3 2 2 1 1 1 . .", "3 3 2 2 1 1 . . .", ". . . . . . . . ."]
TOTALS = [13, 17, None, None]


def write_answers(write, answers, name="cohort.csv", words=str, extra=None):
    names = ["patient_id", "condition", "phq9", *ACUTE, *(["phq9_acute"] if extra else [])]
    rows = [
        [f"p{row}", "depression", "20", *("" if a == "." else words(a) for a in text.split())]
        + ([extra[row]] if extra else [])
        for row, text in enumerate(answers)
    ]
    return write("\n".join(map(",".join, [names, *rows])), name)


def test_items_at_follow_up_are_totalled(write):
    columns = read_cohort(write_answers(write, ANSWERS))
    totals = columns.get_numbers("phq9_acute").tolist()
    assert [None if total != total else total for total in totals] == TOTALS
    assert columns.find_prorated("phq9_acute").tolist() == [False, True, False, False]
    assert not set(ACUTE) & set(columns.values)


def test_cohort_by_items_is_that_by_totals(write):
    texts = [f"p{row},depression,20,{total or ''}" for row, total in enumerate(TOTALS)]
    totals = write("\n".join(["patient_id,condition,phq9,phq9_acute", *texts]), "totals.csv")
    items = read_cohort(write_answers(write, ANSWERS))
    assert digest_cohort(items) == digest_cohort(read_cohort(totals))


def list_broken(path, mapper=None):
    with pytest.raises(CohortError) as refused:
        read_cohort(path, mapper)
    return [(p.field, p.rule, p.rows) for p in refused.value.problems]


def test_items_and_totals_that_contradict_are_refused(write):
    path = write_answers(write, ANSWERS, extra=["14", "17", "12", ""])
    assert list_broken(path) == [("phq9_acute", "total", (1,)), ("phq9_acute", "total", (3,))]


def test_item_out_of_range_is_named(write):
    path = write_answers(write, [ANSWERS[0], ANSWERS[0].replace("3", "4", 1)])
    assert list_broken(path) == [("phq9_1_acute", "range", (2,))]


def test_shorter_scale_at_follow_up_is_refused(write):
    path = write_answers(write, ["1 1 1 1 1 1 1 1 ."] * 2)
    assert list_broken(path) == [("phq9_acute", "items", ())]


def test_words_are_given_once_for_all_items(write, tmp_path):
    words = ["Not at all", "Several days", "More than half the days", "Nearly every day"]
    (tmp_path / "mapping.toml").write_text(
        "[values.phq9_items]\n"
        + "".join(f'"{word}" = "{score}"\n' for score, word in enumerate(words))
        + '[values.phq9_9]\n"Not at all" = "2"\n'
    )
    path = write_answers(write, ANSWERS[:1], words=lambda score: words[int(score)])
    columns = read_cohort(path, read_mapping(tmp_path / "mapping.toml"))
    assert columns.get_numbers("phq9_acute").tolist() == [15]


def test_words_that_no_item_can_be_are_refused(tmp_path):
    (tmp_path / "mapping.toml").write_text('[values.phq9_items]\nAlways = "4"\n')
    with pytest.raises(Exception, match=r"values\.phq9_items\.Always \(range\)"):
        read_mapping(tmp_path / "mapping.toml")


def test_words_are_given_once_for_all_flags(write, tmp_path):
    (tmp_path / "mapping.toml").write_text('[values.flags]\nja = "true"\nnein = "false"\n')
    path = write("patient_id,condition,phq9,bipolar,chronic_pain\na,depression,9,ja,nein\n")
    columns = read_cohort(path, read_mapping(tmp_path / "mapping.toml"))
    assert columns.get_numbers("bipolar").tolist() == [1]
    assert columns.get_numbers("chronic_pain").tolist() == [0]
