"""Cohort files: read completely, or refused with all problems at once."""

import pandas as pd
import pytest

from features.base.errors import SHOWN_PROBLEMS, CohortError
from features.records.cohort import digest_cohort, find_duplicates, read_cohort
from features.records.mapping import read_mapping

GOOD = """patient_id,condition,phq9,age,sex,bipolar,assessed_on,phq9_acute
a,depression,17,44,female,false,2026-01-31,8
b,depression,21,,male,,,
c,anxiety,12,63.5,,yes,2025-12-01,11
"""


def list_problems(path, **options):
    with pytest.raises(CohortError) as refused:
        read_cohort(path, **options)
    return {(p.field, p.rule): p.rows for p in refused.value.problems}


def test_a_good_file_is_read(write):
    columns = read_cohort(write(GOOD))
    assert columns.size == 3
    assert columns.get_numbers("phq9").tolist() == [17, 21, 12]
    assert columns.get_numbers("bipolar")[[0, 2]].tolist() == [0, 1]
    assert columns.find_missing("age").tolist() == [False, True, False]
    assert columns.get_texts("patient_id").tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("line", "field", "rule"),
    [
        ("d,depression,x,44,female,false,,8", "phq9", "type"),
        ("d,depression,28,44,female,false,,8", "phq9", "range"),
        ("d,depression,17.5,44,female,false,,8", "phq9", "whole"),
        ("d,depression,17,inf,female,false,,8", "age", "type"),
        ("d,depression,17,1e999,female,false,,8", "age", "type"),
        ("d,depression,17,44,f,false,,8", "sex", "category"),
        ("d,sadness,17,44,female,false,,8", "condition", "category"),
        ("d,,17,44,female,false,,8", "condition", "required"),
        (",depression,17,44,female,false,,8", "patient_id", "required"),
        ("d,depression,,44,female,false,,8", "baseline_score", "required"),
        ("d,depression,17,44,female,maybe,,8", "bipolar", "type"),
        ("d,depression,17,44,female,false,31/01/2026,8", "assessed_on", "date"),
        ("d,depression,17,44,female,false,,30", "phq9_acute", "range"),
        ("a,depression,17,44,female,false,,8", "patient_id", "duplicate"),
        ("Jane Doe,depression,17,44,female,false,,8", "patient_id", "pattern"),
        ("d,depression,17", "row", "columns"),
    ],
)
def test_bad_row_is_named_with_field_and_rule(write, line, field, rule):
    assert list_problems(write(GOOD + line + "\n")) == {(field, rule): (4,)}


def test_rows_without_a_baseline_are_read_on_request(write):
    path = write(GOOD + "d,depression,,44,female,false,,8\n")
    assert list_problems(path) == {("baseline_score", "required"): (4,)}
    columns = read_cohort(path, incomplete=True)
    assert columns.size == 4
    assert columns.find_missing("phq9").tolist() == [False, False, False, True]
    worse = write(GOOD + "d,sadness,,44,female,false,,8\n", "worse.csv")
    assert list_problems(worse, incomplete=True) == {("condition", "category"): (4,)}


def test_names_of_events_and_visits_may_be_ignored(write):
    header, *rows = GOOD.splitlines()
    content = "\n".join([f"{header},redcap_event_name", *(f"{row},b_arm_1" for row in rows)])
    mapping = write('ignore = ["redcap_event_name"]\n', "mapping.toml")
    assert read_cohort(write(content), read_mapping(mapping)).size == 3
    mapping.write_text('ignore = ["rater_name"]\n')
    rater = write(content.replace("redcap_event_name", "rater_name"), "rater.csv")
    assert list_problems(rater, mapper=read_mapping(mapping)) == {("rater_name", "identifier"): ()}


def test_all_problems_of_all_rows_come_at_once(write):
    bad = "d,sadness,99,44,female,false,,8\ne,depression,x,200,female,false,,8\n"
    assert list_problems(write(GOOD + bad)) == {
        ("condition", "category"): (4,),
        ("phq9", "range"): (4,),
        ("phq9", "type"): (5,),
        ("age", "range"): (5,),
    }


def test_rows_after_a_ragged_one_keep_their_numbers(write):
    bad = "d,depression\ne,depression,99,44,female,false,,8\n"
    assert list_problems(write(GOOD + bad)) == {("phq9", "range"): (5,), ("row", "columns"): (4,)}


def test_ten_thousand_bad_rows_fit_on_one_screen(write):
    rows = "".join(f"x{n},sadness,99,200,f,maybe,x,99\n" for n in range(10_000))
    with pytest.raises(CohortError) as refused:
        read_cohort(write(GOOD + rows))
    assert len(str(refused.value).splitlines()) <= SHOWN_PROBLEMS + 2
    assert "and 9994 more" in str(refused.value)


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        ("last_name", "identifier"),
        ("cadss", "leakage"),
        ("shoe_size", "unknown"),
        ("phq9", "duplicate_column"),
    ],
)
def test_forbidden_column_is_named(write, column, rule):
    header, *rows = GOOD.splitlines()
    content = "\n".join([f"{header},{column}", *(f"{row},1" for row in rows)])
    assert list_problems(write(content)) == {(column, rule): ()}


def test_unknown_columns_can_be_ignored_but_identifiers_cannot(write):
    header, *rows = GOOD.splitlines()
    content = "\n".join([f"{header},shoe_size,cadss", *(f"{row},1,2" for row in rows)])
    columns = read_cohort(write(content), ignore_unknown=True)
    assert "shoe_size" not in columns.values
    content = content.replace("cadss", "email")
    assert list_problems(write(content), ignore_unknown=True) == {("email", "identifier"): ()}


@pytest.mark.parametrize(
    ("content", "name", "rule"),
    [
        ("", "cohort.csv", "empty"),
        (GOOD.splitlines()[0], "cohort.csv", "empty"),
        (GOOD.encode("utf-16"), "cohort.csv", "encoding"),
        (GOOD.replace("17,44", "17,4é").encode("latin-1"), "cohort.csv", "encoding"),
        (GOOD.replace("age", "âge").encode("latin-1"), "cohort.csv", "encoding"),
        (b"not parquet", "cohort.parquet", "format"),
        (GOOD, "cohort.xlsx", "format"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(write, content, name, rule):
    assert list_problems(write(content, name)) == {("file", rule): ()}


def test_a_missing_file_is_refused(tmp_path):
    assert list_problems(tmp_path / "absent.csv") == {("file", "exists"): ()}


def test_a_wrongly_encoded_line_is_numbered(write):
    with pytest.raises(CohortError, match="line 3 is not"):
        read_cohort(write(GOOD.replace("b,dep", "b,dép").encode("latin-1")))


def test_no_error_carries_a_value(write):
    bad = "CANARY PATIENT,CANARYCONDITION,98765,CANARYAGE,CANARYSEX,CANARYFLAG,CANARYDATE,98765\n"
    with pytest.raises(CohortError) as refused:
        read_cohort(write(GOOD + bad + "CANARYRAGGED\n"))
    shown = str(refused.value) + repr(refused.value.as_dict())
    assert "CANARY" not in shown
    assert "98765" not in shown


def test_totals_that_contradict_items_are_refused(trials, tmp_path):
    mapping = tmp_path / "claus.toml"
    items = "\n".join(f'bdi1_{n} = "bdi2_{n}"' for n in range(1, 22))
    mapping.write_text(
        f'[rename]\nbdi2_baseline = "bdi2"\nbdi2_end = "bdi2_acute"\n{items}\n'
        '[constants]\ncondition = "depression"\n'
    )
    frame = pd.read_csv(trials / "claus_inpatient.csv")
    wanted = ["patient_id", "bdi2_baseline", "bdi2_end", *(f"bdi1_{n}" for n in range(1, 22))]
    frame["patient_id"] = [f"c{n}" for n in range(len(frame))]
    path = tmp_path / "claus.parquet"
    frame[wanted].to_parquet(path)
    problems = list_problems(path, mapper=read_mapping(mapping))
    assert problems == {("bdi2", "total"): (6, 22, 30, 41)}


def test_csv_and_parquet_give_the_same_cohort(cohort, tmp_path):
    frame = pd.read_parquet(cohort)
    shuffled = frame.sample(frac=1, random_state=1)[sorted(frame.columns)]
    shuffled.to_csv(tmp_path / "cohort.csv", index=False)
    expected = digest_cohort(read_cohort(cohort))
    assert digest_cohort(read_cohort(tmp_path / "cohort.csv")) == expected


def test_one_changed_value_changes_the_digest(cohort, tmp_path):
    frame = pd.read_parquet(cohort)
    frame.loc[3, "age"] += 1
    frame.to_parquet(tmp_path / "changed.parquet")
    expected = digest_cohort(read_cohort(cohort))
    assert digest_cohort(read_cohort(tmp_path / "changed.parquet")) != expected


def test_later_courses_of_a_patient_are_no_duplicates(write):
    lines = ["patient_id,condition,phq9,course", "a,depression,17,1", "a,depression,12,2"]
    assert find_duplicates(read_cohort(write("\n".join(lines)))) == []
    lines[2] = "a,depression,12,"
    assert list_problems(write("\n".join(lines))) == {("patient_id", "duplicate"): (2,)}


def test_pandas_index_is_not_a_column(cohort, tmp_path):
    pd.read_parquet(cohort).sample(50, random_state=1).to_parquet(tmp_path / "indexed.parquet")
    assert read_cohort(tmp_path / "indexed.parquet").size == 50
