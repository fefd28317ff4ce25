"""Data frames in, data frames out: cohorts, estimates, explanations, held-out predictions."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import ketamine_response as kr

OUTCOME = "phq9.acute.response"
MAPPING = '[rename]\nPat_No = "patient_id"\n[constants]\ncondition = "depression"\n'


@pytest.fixture(scope="module")
def model(visit):
    """The model fitted inside the host."""
    return kr.load_model(OUTCOME, home=visit.home)


@pytest.fixture
def rows(make_assessment):
    """Three assessments, of which one breaks two rules."""
    people = [make_assessment(patient_id=f"p{number}") for number in range(3)]
    return pd.DataFrame(
        [people[0], people[1] | {"phq9": 99, "sex": "f"}, people[2]], index=[*"xyz"]
    )


def test_cohort_of_a_frame_is_that_of_its_file(small_cohort):
    frame = pd.read_parquet(small_cohort)
    expected = kr.read_cohort(small_cohort)
    for given in (frame, pa.table(frame), frame.astype(object)):
        assert kr.read_cohort(given).digest == expected.digest
    assert kr.read_cohort(expected.frame).digest == expected.digest
    assert repr(expected).startswith("Cohort(SIMULATED, cohort.parquet: 400 courses, ")


def test_a_column_of_numbers_and_texts_is_read_by_its_texts():
    """As spreadsheets have them; a missing value among them is missing."""
    mixed = pd.Series([17, "n/a", None, "21"], dtype=object)
    rows = {"patient_id": [*"abcd"], "condition": "depression", "gad7": [3, 4, 5, 6], "phq9": mixed}
    assert kr.read_cohort(pd.DataFrame(rows)).frame["phq9"].fillna(-1).tolist() == [17, -1, -1, 21]


def test_mapping_is_a_file_or_its_content(tmp_path):
    (tmp_path / "mapping.toml").write_text(MAPPING)
    content = {"rename": {"Pat_No": "patient_id"}, "constants": {"condition": "depression"}}
    frame = pd.DataFrame({"Pat_No": ["a1", "a2"], "phq9": [17, 21]})
    read = [kr.read_cohort(frame, mapping) for mapping in (content, tmp_path / "mapping.toml")]
    assert read[0].digest == read[1].digest


def test_all_problems_come_at_once_without_values(rows):
    with pytest.raises(kr.InputError) as caught:
        kr.read_cohort(rows)
    found = {(problem.field, problem.rule, problem.rows) for problem in caught.value.problems}
    assert found == {("phq9", "range", (2,)), ("sex", "category", (2,))}
    assert "99" not in str(caught.value)


def test_columns_named_twice_and_identifiers_are_refused(rows):
    twice = pd.concat([rows, rows[["phq9"]]], axis="columns")
    with pytest.raises(kr.InputError, match=r"phq9 \(duplicate_column\)"):
        kr.read_cohort(twice)
    with pytest.raises(kr.InputError, match=r"last_name \(identifier\)"):
        kr.read_cohort(rows.assign(last_name="Doe"))
    with pytest.raises(kr.InputError, match="must be a data frame"):
        kr.read_cohort(17)


def test_broken_rows_stop_the_call_or_are_reported_beside_it(model, rows):
    with pytest.raises(kr.InputError) as caught:
        model.predict(rows)
    assert len(caught.value.problems) == 2
    predicted = model.predict(rows, errors="column")
    assert predicted.index.tolist() == [*"xyz"]
    assert predicted["probability"].isna().tolist() == [False, True, False]
    assert "phq9 (range)" in predicted.loc["y", "errors"]
    assert "sex (category)" in predicted.loc["y", "errors"]
    assert predicted["errors"].isna().tolist() == [True, False, True]
    explained = model.explain(rows, errors="column").drop(columns="errors")
    assert explained.isna().all(axis=1).tolist() == [False, True, False]


def test_rows_are_predicted_alone_as_among_others(model, rows):
    """One assessment as a dictionary; copies of a patient may differ, to compare what if."""
    valid = rows.drop(index="y")
    alone = model.predict(valid.iloc[0].to_dict())
    pd.testing.assert_frame_equal(alone, model.predict(valid).iloc[:1].reset_index(drop=True))
    copies = valid.iloc[[0, 0]].assign(phq9=[17, 24])
    assert model.predict(copies)["probability"].nunique() == 2


def test_contributions_sum_to_the_log_odds(model, intake):
    frame = pd.read_parquet(intake)
    predicted, explained = model.predict(frame), model.explain(frame)
    answered = predicted["probability"].notna()
    assert 20 < answered.sum() < len(frame)
    probability = predicted["probability"][answered]
    log_odds = np.log(probability / (1 - probability))
    np.testing.assert_allclose(explained[answered].sum(axis=1), log_odds, rtol=0, atol=1e-12)
    assert explained[~answered].isna().all(axis=None)
    assert explained.columns[0] == "intercept"
    assert set(explained.columns[1:]) <= set(frame.columns)


def test_reasons_of_abstention_and_eligibility_are_columns(model, make_assessment):
    people = [
        make_assessment(psychosis=True),
        make_assessment(condition="ptsd", pcl5=40),
        make_assessment(age=95),
    ]
    predicted = model.predict(people)
    assert predicted["abstained"].tolist() == ["eligibility", "no_model", "outside_studied_range"]
    assert predicted["abstained_fields"].fillna("").tolist() == ["psychosis", "", "age"]
    assert predicted["eligibility"].str.contains("refuse:").fillna(False).tolist() == [1, 0, 0]
    assert predicted["not_screened"].str.contains("mania").all()
    assert predicted[["probability", "low", "high"]].isna().all(axis=None)
    assert predicted["data"].tolist() == ["SIMULATED"] * 3


def test_held_out_predictions_give_the_log_loss(visit):
    """Recomputed from the frame: the mean over courses, repeats included."""
    held = visit.result.held_out
    assert [*held.columns[:5]] == ["patient_id", "course", "repeat", "fold", "outcome"]
    assert sorted(held["fold"].unique()) == [1, 2, 3, 4, 5]
    assert not held.duplicated(["patient_id", "course", "repeat"]).any()
    for name in visit.result.comparison.index:
        right = np.where(held["outcome"] == 1, held[name], 1 - held[name])
        expected = visit.result.comparison.loc[name, "log_loss"]
        assert -np.log(right).mean() == pytest.approx(expected, abs=1e-12)
    assert len(held) == visit.result.summary["courses"]
    # A fold's base rate is that of the other folds, whatever the course.
    assert len(held.drop_duplicates(["fold", "base_rate"])) == 5


def test_comparison_is_that_of_the_summary(visit):
    frame, candidates = visit.result.comparison, visit.result.summary["candidates"]
    assert frame.index[frame["chosen"]].tolist() == [visit.result.summary["chosen"]]
    for name, measures in candidates.items():
        low, high = measures["intervals"]["auc"]
        shown = frame.loc[name, ["auc", "auc_low", "auc_high"]].tolist()
        assert shown == [measures["auc"], low, high]
    assert visit.result.performance.loc["nested", "auc"] > 0.5


def test_notebook_shows_the_simulated_label_and_no_patient(visit):
    patient = visit.result.held_out["patient_id"][0]
    shown = [visit.result._repr_html_(), repr(visit.result), repr(visit.result.model)]
    shown += [visit.result.report.html, visit.result.model._repr_markdown_()]
    for text in shown:
        assert "SIMULATED" in text
        assert patient not in text
    assert visit.result.report._repr_html_().startswith("<iframe srcdoc=")


def test_report_is_saved_whole(visit, tmp_path):
    path = visit.result.report.save(tmp_path / "report.html")
    assert path.read_text("utf-8") == visit.result.report.html


def test_study_names_every_problem():
    with pytest.raises(kr.InputError) as caught:
        kr.Study(name="x", outcome="phq9.acute.response", seed=-1, folds=3)
    assert {problem.field for problem in caught.value.problems} == {"question", "seed", "folds"}


LONG = {
    "tables": {
        "people": {"file": "people*.csv", "patient": "id"},
        "visits": {
            "file": "visits.csv", "patient": "id", "day": "day", "instrument": "scale",
            "score": "score",
        },
    },
    "constants": {"condition": "depression"},
}  # fmt: skip
PEOPLE = pd.DataFrame({"id": [7, 8], "age": [44, 51]})
VISITS = pd.DataFrame(
    {
        "id": [7, 7, 8, 8], "day": [0, 28, -3, 300], "scale": "PHQ-9", "score": [20, 8, 15, 2],
    }
)  # fmt: skip


def test_tables_of_a_mapping_are_files_or_frames(tmp_path):
    """The account counts what was left aside: a score outside every window."""
    paths = [tmp_path / "people_2026.csv", tmp_path / "visits.csv"]
    PEOPLE.to_csv(paths[0], index=False)
    VISITS.to_csv(paths[1], index=False)
    from_files = kr.read_cohort(paths, LONG)
    assert kr.read_cohort(tmp_path, LONG).digest == from_files.digest
    from_frames = kr.read_cohort({"people": PEOPLE, "visits": VISITS}, LONG)
    assert from_frames.digest == from_files.digest
    frame = from_frames.frame.set_index("patient_id")
    assert frame.loc["7", ["age", "phq9", "phq9_acute"]].tolist() == [44, 20, 8]
    for cohort in (from_files, from_frames):
        visits = next(table for table in cohort.account["tables"] if table["table"] == "visits")
        assert (visits["read"], visits["used"]) == (4, 3)
        assert [entry["rows"] for entry in visits["aside"]] == [1]


def test_one_long_frame_is_the_one_table(tmp_path):
    mapping = LONG | {"tables": {"visits": LONG["tables"]["visits"]}}
    cohort = kr.read_cohort(VISITS, mapping)
    assert cohort.frame["phq9"].tolist() == [20, 15]
    assert cohort.account["patients"]["used"] == 2


def test_mapping_that_joins_is_for_cohorts(model):
    """A frame is not predicted for as if the mapping were not there; a cohort read by it is."""
    mapping = LONG | {"tables": {"visits": LONG["tables"]["visits"]}}
    with pytest.raises(kr.InputError, match="with read_cohort"):
        model.predict(VISITS, mapping)
    cohort = kr.read_cohort(VISITS, mapping)
    assert model.predict(cohort).index.tolist() == [0, 1]
    assert len(model.explain(cohort)) == 2


def test_missing_table_is_named():
    with pytest.raises(kr.InputError, match=r"tables\.visits\.file \(exists\)"):
        kr.read_cohort({"people": PEOPLE}, LONG)
