"""`python -m training mapping suggest` and `check`, on exports written here."""

import json
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
from workbooks import write_xlsx

from features.records.cohort import read_cohort

OWN = """
[instruments.who5]
name = "WHO-5"
measures = "well-being"
item_highs = [5, 5, 5, 5, 5]
recall_days = 14
source = "by hand"
[fields.gene_score]
kind = "number"
label = "Polygenic score"
range = [-6, 6]
step = 0.5
typical = [0, 1]
source = "by hand"
prior = { spread = 0.15, step = 1 }
"""
WORDS = ("Not at all", "Several days", "More than half the days", "Nearly every day")


@pytest.fixture
def commands(make_commands, tmp_path):
    return make_commands(tmp_path / "home")


@pytest.fixture
def suggest(commands, tmp_path):
    """Drafts a mapping; returns it as a table, with its file."""

    def suggest(*exports):
        path = tmp_path / "draft.toml"
        commands.call("mapping", "suggest", *exports, "--out", path)
        return tomllib.loads(path.read_text("utf-8")), path

    return suggest


@pytest.fixture
def confirm(commands):
    """Confirms a draft unchanged, checks it, and reads the cohort that it makes."""

    def confirm(path, out, *exports):
        path.write_text(path.read_text("utf-8").replace("draft = true\n", ""), "utf-8")
        commands.call("mapping", "check", path, *exports)
        commands.call("intake", *exports, "--mapping", path, "--out", out)
        return read_cohort(out)

    return confirm


@pytest.fixture
def german(tmp_path):
    """What a German Excel saves: 12 patients, PHQ-9 10 to 21, and 4 less at week 6."""
    rows = "".join(
        f"P{n:02};{'weiblich' if n % 2 else 'männlich'};Depression;{n + 1:02}.03.1980;1,{70 + n};"
        f"{60 + n},5;01.02.2024;{10 + n};{6 + n}\n"
        for n in range(12)
    )
    head = "Patienten-Nr;Geschlecht;Diagnose;Geburtsdatum;Größe (m);Gewicht (kg);Erhoben am;"
    path = tmp_path / "export.csv"
    path.write_bytes((head + "PHQ-9 Beginn;PHQ-9 Woche 6\n" + rows).encode("cp1252"))
    return path


def test_a_draft_of_a_german_sheet_reads_it_once_confirmed(german, suggest, confirm, tmp_path):
    draft, path = suggest(german)
    assert (draft["encoding"], draft["delimiter"], draft["decimal"]) == ("windows-1252", ";", ",")
    assert draft["dates"] == "DD.MM.YYYY"
    columns = confirm(path, tmp_path / "cohort.csv", german)
    assert columns.get_numbers("phq9").tolist() == list(range(10, 22))
    assert columns.get_numbers("phq9_acute").tolist() == list(range(6, 18))
    assert columns.get_numbers("sex").tolist() == [1.0, 0.0] * 6
    assert columns.get_numbers("age").astype(int).tolist() == [43] * 12
    assert columns.get_numbers("bmi")[0] == pytest.approx(60.5 / 1.7**2)


def test_a_draft_is_refused_until_it_is_confirmed(german, suggest, commands, tmp_path):
    _, path = suggest(german)
    done = commands.call(
        "intake", german, "--mapping", path, "--out", tmp_path / "cohort.csv", code=2
    )
    assert "this mapping is a draft" in done.stderr
    checked = commands.call("mapping", "check", path, german, "--json", code=2)
    facts = json.loads(checked.stdout)
    assert [error["rule"] for error in facts["errors"]] == ["draft"]
    becomes = {entry["column"]: entry["becomes"] for entry in facts["columns"]}
    assert becomes["Geschlecht"] == "sex"
    assert becomes["Geburtsdatum"] == "source of a derived field"


def test_a_long_table_with_answers_in_words_is_drafted(suggest, confirm, tmp_path):
    """By hand: each patient answers n % 4 to every item, 0 at week 6."""
    rows = [
        (f"p{n}", 0 if visit == "Baseline" else 42, visit, f"PHQ9_{item:02}", answer)
        for n in range(8)
        for visit, answer in (("Baseline", WORDS[n % 4]), ("Week 6", WORDS[0]))
        for item in range(1, 10)
    ]
    rows += [(f"p{n}", 0, "Baseline", "diagnosis", "MDD") for n in range(8)]
    names = ["subject", "day", "visit", "question", "answer"]
    pd.DataFrame(rows, columns=names).drop(columns="day").to_csv(tmp_path / "l.csv", index=False)
    draft, path = suggest(tmp_path / "l.csv")
    table = draft["tables"]["l"]
    assert {key: table[key] for key in ("patient", "visit", "item", "value")} == {
        "patient": "subject", "visit": "visit", "item": "question", "value": "answer",
    }  # fmt: skip
    assert draft["visits"] == {"Baseline": "baseline", "Week 6": "acute"}
    path.write_text(
        path.read_text("utf-8")
        + "[values.phq9_items]\n"
        + "".join(f'"{word}" = "{n}"\n' for n, word in enumerate(WORDS)),
        "utf-8",
    )
    columns = confirm(path, tmp_path / "cohort.csv", tmp_path / "l.csv")
    assert columns.get_numbers("phq9").tolist() == [9 * (n % 4) for n in range(8)]
    assert columns.get_numbers("phq9_acute").tolist() == [0] * 8


def test_redcaps_dictionary_gives_labels_to_codes(suggest, confirm, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "dictionary.csv").write_text(
        "Variable / Field Name,Form Name,Field Type,Field Label,"
        '"Choices, Calculations, OR Slider Labels",'
        "Text Validation Type OR Show Slider Number,Identifier?\n"
        "record_id,a,text,Record,,,\n"
        'dx,a,radio,Diagnosis,"1, MDD | 2, PTSD",,\n'
        'bipolar,a,radio,Bipolar disorder,"1, No | 2, Yes",,\n'
        'hx,a,checkbox,History,"1, Chronic pain | 2, PTSD",,\n'
        "phq9,a,text,Total,,integer,\n"
    )
    (tmp_path / "r" / "data.csv").write_text(
        "record_id,redcap_event_name,dx,bipolar,hx___1,hx___2,phq9\n"
        + "".join(
            f"{n},baseline_arm_1,{n % 2 + 1},{n % 2 + 1},{n % 2},0,{10 + n}\n"
            f"{n},week_6_arm_1,,,,,{n}\n"
            for n in range(1, 9)
        )
    )
    draft, path = suggest(tmp_path / "r")
    assert draft["values"]["condition"] == {"1": "depression", "2": "ptsd"}
    # Without a line for 1, that code would be read as true.
    assert draft["values"]["bipolar"] == {"1": "false", "2": "true"}
    assert draft["tables"]["data"]["rename"]["hx___1"] == "chronic_pain"
    assert draft["tables"]["data"]["dictionary"] == "r/dictionary.csv"
    columns = confirm(path, tmp_path / "cohort.csv", tmp_path / "r" / "data.csv")
    assert columns.get_numbers("phq9_acute").tolist() == list(range(1, 9))
    assert columns.get_numbers("chronic_pain").tolist() == [1, 0] * 4
    assert columns.get_numbers("bipolar").tolist() == [1, 0] * 4


def test_a_sheet_below_a_title_is_found_with_its_header(suggest, confirm, tmp_path):
    """Two rows of names, and a note below the table."""
    rows = [[f"p{n}", 30 + n, 20, 9] for n in range(9)]
    sheet = [
        ["Ketamine clinic: outcomes"],
        ["Patient", "", "Baseline", "Week 6"],
        ["ID", "Age", "PHQ-9", "PHQ-9"],
        *rows,
        ["Exported by the front desk"],
    ]
    write_xlsx(tmp_path / "o.xlsx", {"Notes": [["nothing here"]], "Outcomes": sheet})
    draft, path = suggest(tmp_path / "o.xlsx")
    assert (draft["sheet"], draft["header_rows"], draft["footer_rows"]) == (2, 2, 1)
    path.write_text(path.read_text("utf-8").replace("# condition", "condition"), "utf-8")
    columns = confirm(path, tmp_path / "cohort.csv", tmp_path / "o.xlsx")
    assert columns.get_numbers("age").tolist() == list(range(30, 39))
    assert columns.get_numbers("phq9_acute").tolist() == [9] * 9


def test_a_clinics_own_instruments_and_fields_are_suggested(commands, tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    names = ["patient_id", *(f"WHO-5 item {n}" for n in range(1, 6)), "Polygenic score"]
    rows = "".join(f"p{n},{'3,' * 5}0.{n}\n" for n in range(9))
    (tmp_path / "c.csv").write_text(",".join(names) + "\n" + rows)
    done = commands.call(
        *("mapping", "suggest", tmp_path / "c.csv"),
        *("--dictionary", tmp_path / "own.toml", "--json"),
    )
    (table,) = json.loads(done.stdout)["tables"]
    fields = [entry["field"] for entry in table["columns"]]
    assert fields == [*(f"who5_{n}" for n in range(1, 6)), "gene_score"]


def test_answers_of_an_instrument_are_have_a_name_that_mappings_know(commands, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(OWN.replace("who5", "well_being").replace("[5, 5, 5, 5, 5]", "[3, 3]"))
    table = {"patient_id": [f"p{n}" for n in range(8)], "condition": "ptsd"}
    table |= {f"well_being_{item}": list(WORDS) * 2 for item in (1, 2)}
    pd.DataFrame(table).to_csv(tmp_path / "e.csv", index=False)
    path = tmp_path / "draft.toml"
    commands.call(*("mapping", "suggest", tmp_path / "e.csv", "--dictionary", own, "--out", path))
    draft = tomllib.loads(path.read_text("utf-8"))
    assert draft["values"] == {
        "well_being_items": {word: str(score) for score, word in enumerate(WORDS)}
    }
    path.write_text(path.read_text("utf-8").replace("draft = true\n", ""), "utf-8")
    commands.call("mapping", "check", path, tmp_path / "e.csv", "--dictionary", own)


def test_units_are_suggested_by_name_and_by_range(suggest, tmp_path):
    frame = pd.DataFrame({"patient_id": [f"p{n}" for n in range(20)], "phq9": 12})
    frame["condition"] = "depression"
    frame["age"] = np.arange(20) * 100 + 9000
    frame["episode_weeks"] = np.arange(20)
    frame.to_csv(tmp_path / "u.csv", index=False)
    draft, path = suggest(tmp_path / "u.csv")
    assert draft["units"] == {"age": "days", "episode_months": "weeks"}
    assert "# ? Is it in weeks?" in path.read_text("utf-8")


def test_a_draft_shows_no_value_of_a_patient(suggest, commands, tmp_path):
    """Words of fewer than five rows, codes and identifying columns' values stay out."""
    rows = "".join(
        f"SECRET{n},Jane{n},{'f' if n < 8 else 'intersex-rare'},gout-common,{10 + n},"
        f"1961-0{n % 9 + 1}-17,private words {n}\n"
        for n in range(10)
    )
    (tmp_path / "s.csv").write_text("code,first name,sex,diagnosis,phq9,dob,notes\n" + rows)
    draft, path = suggest(tmp_path / "s.csv")
    text = path.read_text("utf-8")
    for value in ("SECRET", "Jane", "intersex", "1961", "private words"):
        assert value not in text
    assert draft["values"]["sex"] == {"f": "female"}
    assert "# 1 further word is not shown" in text
    assert '# "first name" looks like a direct identifier. Remove the column' in text
    assert "# gout-common" in text, "a word of ten rows must be mapped, so it is shown"
    shown = commands.call("mapping", "suggest", tmp_path / "s.csv", "--json").stdout
    assert not re.search("SECRET|Jane|intersex|1961|gout", shown)


def test_a_draft_states_the_confidence_of_what_it_leaves_out(suggest, tmp_path):
    (tmp_path / "c.csv").write_text("patient_id,phq9,shoe,phq9_first\na,12,41,10\nb,13,42,9\n")
    draft, path = suggest(tmp_path / "c.csv")
    assert draft["ignore"] == ["shoe", "phq9_first"]
    text = path.read_text("utf-8")
    assert "    # 0%: resembles no field. Is it needed? If not, it stays ignored.\n" in text


def test_every_column_has_a_suggestion_with_its_confidence(german, commands):
    (table,) = json.loads(commands.call("mapping", "suggest", german, "--json").stdout)["tables"]
    columns = [entry["column"] for entry in table["columns"]] + [*table["parts"].values()]
    head = german.read_bytes().decode("cp1252").splitlines()[0]
    assert sorted(columns) == sorted(head.split(";"))
    assert all(0 <= entry["confidence"] <= 1 and entry["question"] for entry in table["columns"])


def test_a_check_lists_every_problem_and_shows_no_row(commands, german, tmp_path):
    mapping = tmp_path / "m.toml"
    mapping.write_text(
        'encoding = "windows-1252"\ndelimiter = ";"\ndecimal = ","\n'
        '[rename]\n"Patienten-Nr" = "patient_id"\n"PHQ-9 Beginn" = "phq9"\n'
    )
    done = commands.call("mapping", "check", mapping, german, code=2)
    assert "| Geschlecht " in done.stdout
    assert "unknown" in done.stdout
    assert "- Geschlecht (unknown): not a known field" in done.stdout
    assert "P01" not in done.stdout
    assert "1980" not in done.stdout


def test_a_check_of_a_good_mapping_counts_what_would_be_read(commands, cohort, tmp_path):
    mapping = tmp_path / "m.toml"
    mapping.write_text("")
    facts = json.loads(commands.call("mapping", "check", mapping, cohort, "--json").stdout)
    assert facts["errors"] == []
    assert facts["intake"]["courses"] == 1200
    assert {entry["becomes"] for entry in facts["columns"]} >= {"phq9", "patient_id"}


def test_columns_without_names_are_drafted(suggest, tmp_path):
    (tmp_path / "r.csv").write_text('"","phq9",""\n"1",17,x\n"2",12,y\n')
    draft, _ = suggest(tmp_path / "r.csv")
    assert draft["rename"] == {"": "patient_id"}


def test_suggestions_need_an_export(commands, tmp_path):
    (tmp_path / "empty").mkdir()
    done = commands.call("mapping", "suggest", tmp_path / "empty", code=2)
    assert "is a folder without files of" in done.stderr
    done = commands.call("mapping", "suggest", tmp_path / "none.csv", code=2)
    assert "exists" in done.stderr
