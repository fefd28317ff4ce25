"""Scoring cohorts: every row accounted for, nothing half-written."""

import json

import pandas as pd
import pyreadstat
import pytest
from workbooks import write_xlsx


@pytest.fixture
def score(commands, tmp_path):
    """Scores a cohort file; returns the summary and the output's path."""

    def score(cohort, *options, code=0, name="scores.parquet"):
        out = tmp_path / "out" / name
        done = commands.run("serving", "score", cohort, "--out", out, "--json", *options, code=code)
        return json.loads(done.stdout), out

    return score


def test_every_course_has_a_line_for_each_outcome(score, intake):
    summary, out = score(intake)
    scores, people = pd.read_parquet(out), pd.read_parquet(intake)
    assert scores["row"].tolist() == list(range(1, len(people) + 1))
    assert scores["patient_id"].tolist() == people["patient_id"].tolist()
    estimated = scores["probability"].notna().sum()
    assert summary["rows"] == len(people)
    assert summary["estimates"] == estimated
    assert summary["estimates"] + summary["abstained"] + summary["without_model"] == len(people)
    assert (scores.loc[people["condition"] != "depression", "abstained"] == "no_model").all()
    assert set(scores["data"].dropna()) == {"SIMULATED"}


def test_probabilities_lie_inside_their_intervals(score, intake):
    scores = pd.read_parquet(score(intake)[1]).dropna(subset="probability")
    assert len(scores) > 100
    assert (scores["low"] <= scores["probability"]).all()
    assert (scores["probability"] <= scores["high"]).all()
    assert (scores["base_rate"] == scores["base_rate"].iloc[0]).all()


def test_csv_and_parquet_give_the_same_scores(score, intake, tmp_path):
    pd.read_parquet(intake).to_csv(tmp_path / "intake.csv", index=False)
    from_parquet = pd.read_parquet(score(intake)[1])
    from_csv = pd.read_csv(score(tmp_path / "intake.csv", name="scores.csv")[1])
    assert from_csv["probability"].tolist() == pytest.approx(
        from_parquet["probability"].tolist(), abs=1e-12, nan_ok=True
    )


def test_bad_rows_are_rejected_and_their_neighbours_scored(score, intake, tmp_path):
    people = pd.read_parquet(intake).head(10)
    people.loc[2, "age"] = 300
    people["sex"] = people["sex"].astype(str).replace("nan", None)
    people.loc[5, "sex"] = "CANARY"
    people.loc[7, "patient_id"] = people.loc[1, "patient_id"]
    people.to_parquet(tmp_path / "bad.parquet")
    rejects = tmp_path / "rejects.csv"
    summary, out = score(tmp_path / "bad.parquet", "--rejects", rejects, code=3)
    assert summary["rejected"] == 3
    assert pd.read_parquet(out)["row"].tolist() == [1, 2, 4, 5, 7, 9, 10]
    listed = pd.read_csv(rejects)
    assert listed[["row", "field", "rule"]].to_numpy().tolist() == [
        [3, "age", "range"],
        [6, "sex", "category"],
        [8, "patient_id", "duplicate"],
    ]
    assert "CANARY" not in rejects.read_text()


def test_good_rows_leave_an_empty_list_of_rejects(score, intake, tmp_path):
    rejects = tmp_path / "rejects.parquet"
    score(intake, "--rejects", rejects)
    assert len(pd.read_parquet(rejects)) == 0
    assert list(pd.read_parquet(rejects)) == ["row", "field", "rule", "message"]


def test_a_ragged_line_is_a_rejected_row(score, intake, tmp_path):
    path = tmp_path / "ragged.csv"
    pd.read_parquet(intake).head(4).to_csv(path, index=False)
    lines = path.read_text().splitlines()
    lines.insert(2, "too,short")
    path.write_text("\n".join(lines))
    summary, out = score(path, code=3)
    assert (summary["rows"], summary["rejected"]) == (5, 1)
    assert pd.read_parquet(out)["row"].tolist() == [1, 3, 4, 5]


def test_a_mapping_is_applied(score, tmp_path):
    (tmp_path / "clinic.csv").write_text("Pat,Dx,PHQ\n1,MDD,17\n2,MDD,19\n")
    (tmp_path / "clinic.toml").write_text(
        '[rename]\nPat = "patient_id"\nDx = "condition"\nPHQ = "phq9"\n'
        '[values.condition]\nMDD = "depression"\n'
    )
    _, out = score(tmp_path / "clinic.csv", "--mapping", tmp_path / "clinic.toml")
    scores = pd.read_parquet(out)
    assert scores["probability"].notna().all()
    assert scores["data"].tolist() == ["SIMULATED"] * 2


ITEMS = ",".join(f"phq9_{number}" for number in range(1, 10))


LONG = """
[tables.people]
file = "people.csv"
patient = "id"

[tables.visits]
file = "visits.csv"
patient = "id"
day = "day"
instrument = "scale"
score = "score"

[constants]
condition = "depression"
"""


def test_exports_of_a_mapping_are_joined_and_scored(score, tmp_path):
    """Given one by one or as a folder; a rejected course names the rows that it is from."""
    clinic, rejects = tmp_path / "clinic", tmp_path / "rejects.csv"
    clinic.mkdir()
    (clinic / "people.csv").write_text("id,age\na,40\nb,300\nc,50\n")
    visits = "id,day,scale,score\na,0,phq9,17\nb,0,phq9,12\nc,-2,phq9,9\nc,0,phq9,99\n"
    (clinic / "visits.csv").write_text(visits)
    (tmp_path / "mapping.toml").write_text(LONG)
    options = ("--mapping", tmp_path / "mapping.toml", "--rejects", rejects)
    summary, out = score(clinic, *options, code=3)
    assert (summary["rows"], summary["rejected"]) == (3, 2)
    assert pd.read_parquet(out)["patient_id"].tolist() == ["a"]
    assert pd.read_csv(rejects)[["row", "field", "rule"]].to_numpy().tolist() == [
        [2, "people.age", "range"],
        [4, "visits.score", "range"],
    ]
    again, _ = score(clinic / "people.csv", clinic / "visits.csv", *options, code=3)
    assert again == summary


def test_prorated_totals_are_named_and_counted(score, tmp_path):
    """A total that takes three blank items for 0 is refused, as it is without the total."""
    path = tmp_path / "items.csv"
    answers = {"a,": "2,2,2,2,2,2,2,2,", "b,": "2,2,2,2,2,2,2,2,2", "c,18": "2,2,2,2,2,2,2,2,"}
    answers |= {"d,12": "2,2,2,2,2,2,,,", "e,": "2,2,2,2,2,2,,,"}
    lines = [f"{key.replace(',', ',depression,')},{row}" for key, row in answers.items()]
    path.write_text("\n".join([f"patient_id,condition,phq9,{ITEMS}", *lines, ""]))
    summary, out = score(path, "--rejects", tmp_path / "rejects.csv", code=3)
    assert (summary["rows"], summary["rejected"], summary["prorated"]) == (5, 2, 1)
    scores = pd.read_parquet(out).set_index("patient_id")
    assert scores["prorated"].fillna("").to_dict() == {"a": "phq9", "b": "", "c": ""}
    assert len(set(scores["probability"])) == 1
    rejected = pd.read_csv(tmp_path / "rejects.csv")
    assert rejected["field"].tolist() == ["phq9", "baseline_score"]


def test_a_shorter_scale_is_refused_without_output(score, tmp_path):
    path = tmp_path / "phq8.csv"
    header = f"patient_id,condition,{ITEMS}".removesuffix(",phq9_9")
    path.write_text(f"{header}\na,depression,2,2,2,2,2,2,2,2\nb,depression,3,3,3,3,3,3,3,3\n")
    errors, out = score(path, code=2)
    assert [(error["field"], error["rule"]) for error in errors["errors"]] == [("phq9", "items")]
    assert "PHQ-8" in errors["errors"][0]["message"]
    assert not out.exists()


def test_the_day_of_the_eighteenth_birthday_is_not_below_eighteen(score, tmp_path):
    """With four leap days it is day 6,574, which is not 18 times 365.25."""
    path, mapping = tmp_path / "age.csv", tmp_path / "days.toml"
    path.write_text("patient_id,condition,phq9,age\na,depression,17,6573\nb,depression,17,6574\n")
    mapping.write_text('[units]\nage = "days"\n')
    scores = pd.read_parquet(score(path, "--mapping", mapping)[1])
    refused, birthday = scores["abstained"]
    assert refused == "eligibility"
    assert birthday != "eligibility"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("patient_id,condition,phq9,last_name\na,depression,17,x\n", "identifier"),
        ("patient_id,condition,phq9,cadss\na,depression,17,3\n", "leakage"),
        ("patient_id,condition,phq9,shoes\na,depression,17,3\n", "unknown"),
        ("", "empty"),
        (
            'patient_id,condition,phq9\na,depression,17\nb,depression,"18\nc,depression,19\n',
            "quotes",
        ),
        ("patient_id;condition;phq9\na;depression;17\n", "delimiter"),
    ],
)
def test_rejected_cohort_leaves_no_output(score, tmp_path, content, message):
    path = tmp_path / "cohort.csv"
    path.write_text(content)
    errors, out = score(path, code=2)
    assert errors["errors"][0]["rule"] == message
    assert not out.exists()
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_nested_column_is_rejected_before_any_work(score, tmp_path):
    people = pd.DataFrame({"patient_id": ["a"], "condition": "depression", "phq9": 17})
    people.assign(age=[[44.0]]).to_parquet(tmp_path / "nested.parquet")
    errors, out = score(tmp_path / "nested.parquet", code=2)
    assert [(error["field"], error["rule"]) for error in errors["errors"]] == [("age", "type")]
    assert not out.exists()


def test_folder_of_parquet_is_scored_as_one_cohort(score, intake, tmp_path):
    people, folder = pd.read_parquet(intake).head(9), tmp_path / "parts.parquet"
    folder.mkdir()
    for number in range(3):
        people[3 * number : 3 * number + 3].to_parquet(folder / f"part.{number}.parquet")
    (folder / "_SUCCESS").touch()
    summary, out = score(folder)
    assert summary["rows"] == 9
    assert pd.read_parquet(out)["patient_id"].tolist() == people["patient_id"].tolist()


def test_formats_of_other_programs_give_the_same_scores(score, intake, tmp_path):
    people = pd.read_parquet(intake).head(40).dropna(axis=1, how="all")
    people.to_csv(tmp_path / "people.csv", index=False)
    numbers = people.select_dtypes(["number", "boolean"]).columns
    people = people.astype(dict.fromkeys(numbers, float))
    pyreadstat.write_sav(people, tmp_path / "people.sav")
    rows = people.astype(object).where(people.notna(), None).values.tolist()
    write_xlsx(tmp_path / "people.xlsx", {"Notes": [["x"]], "People": [list(people), *rows]})
    (tmp_path / "people.toml").write_text('sheet = "People"\n')
    expected = pd.read_parquet(score(tmp_path / "people.csv")[1])["probability"]
    options = {"people.sav": [], "people.xlsx": ["--mapping", tmp_path / "people.toml"]}
    for name, more in options.items():
        scores = pd.read_parquet(score(tmp_path / name, *more)[1])
        assert scores["probability"].equals(expected), name


def test_unknown_suffix_is_rejected_before_reading(score, intake):
    errors, _ = score(intake, name="scores.xlsx", code=2)
    assert errors["errors"][0]["rule"] == "format"


def test_follow_up_scores_in_intake_change_nothing(score, cohort, tmp_path):
    people = pd.read_parquet(cohort).head(50)
    people.to_parquet(tmp_path / "with.parquet")
    followups = [name for name in people if name.endswith(("_acute", "_day1", "_week12"))]
    people.drop(columns=followups).to_parquet(tmp_path / "without.parquet")
    with_them = pd.read_parquet(score(tmp_path / "with.parquet")[1])
    without = pd.read_parquet(score(tmp_path / "without.parquet")[1])
    assert followups
    assert with_them["probability"].equals(without["probability"])


@pytest.mark.parametrize("rejects", ["scores.csv", "sub/../scores.csv", "SCORES.csv"])
def test_scores_are_not_lost_to_the_rejects(commands, intake, tmp_path, rejects):
    (tmp_path / "sub").mkdir()
    out = ("--out", tmp_path / "scores.csv", "--rejects", tmp_path / rejects)
    done = commands.run("serving", "score", intake, *out, code=2)
    assert "--out (same_file): must not be the same file as --rejects" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sub"]


@pytest.mark.parametrize("kind", ["itself", "hard link", "link to it", "rejects"])
def test_a_cohort_is_not_replaced_by_its_scores(commands, intake, tmp_path, kind):
    cohort, other = tmp_path / "cohort.csv", tmp_path / "other.csv"
    pd.read_parquet(intake).head(3).to_csv(cohort, index=False)
    before = cohort.read_bytes()
    other.hardlink_to(cohort) if kind == "hard link" else other.symlink_to(cohort)
    written = {
        "itself": ("--out", cohort),
        "hard link": ("--out", other),
        "link to it": ("--out", other),
        "rejects": ("--out", tmp_path / "scores.csv", "--rejects", cohort),
    }[kind]
    done = commands.run("serving", "score", cohort, *written, "--json", code=2)
    first = json.loads(done.stdout)["errors"][0]
    assert (first["rule"], first["message"]) == (
        "same_file",
        "must not be the same file as the cohort",
    )
    assert cohort.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort.csv", "other.csv"]


def test_a_link_is_not_replaced_by_scores(commands, intake, tmp_path):
    (tmp_path / "kept.csv").write_text("kept")
    (tmp_path / "link.csv").symlink_to("kept.csv")
    done = commands.run("serving", "score", intake, "--out", tmp_path / "link.csv", code=2)
    assert "--out (symlink): link.csv is a symbolic link" in done.stderr
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "kept.csv").read_text() == "kept"
