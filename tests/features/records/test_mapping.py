"""Mapping files: a clinic's own columns are translated into ours."""

import numpy as np
import pandas as pd
import pytest

from features.base.errors import CohortError, MappingError
from features.records.cohort import read_cohort
from features.records.mapping import UNITS, convert_unit, read_mapping

CLINIC = """Pat,Dx,PHQ_Total,Ill_since,Gender,Dose_ug,On_AD,note
1,MDD,17,1.5,W,500,J,x
2,GAD,12,-9,M,,N,y
"""
MAPPING = """
missing = ["-9"]
ignore = ["note"]

[rename]
Pat = "patient_id"
Dx = "condition"
PHQ_Total = "phq9"
Ill_since = "episode_months"
Gender = "sex"
Dose_ug = "dose_mg_kg"
On_AD = "current_antidepressant"

[values.condition]
MDD = "depression"
GAD = "anxiety"

[values.sex]
W = "female"
M = "male"

[values.current_antidepressant]
J = "yes"
N = "no"

[units]
episode_months = "years"
dose_mg_kg = "µg/kg"

[constants]
route = "iv"
simulated = true
sessions = 6
"""


@pytest.fixture
def clinic(tmp_path):
    (tmp_path / "clinic.csv").write_text(CLINIC)
    (tmp_path / "clinic.toml").write_text(MAPPING)
    return tmp_path


def test_every_part_of_a_mapping_is_applied(clinic):
    """Renames, values, units, constants, and codes of missing values."""
    columns = read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))
    assert columns.get_texts("patient_id").tolist() == ["1", "2"]
    assert columns.get_numbers("condition").tolist() == [0, 1]
    assert columns.get_numbers("episode_months")[0] == 18.0
    assert columns.find_missing("episode_months").tolist() == [False, True]
    assert columns.get_numbers("dose_mg_kg")[0] == 0.5
    assert columns.get_numbers("sex").tolist() == [0, 1]
    assert columns.get_numbers("current_antidepressant").tolist() == [1, 0]
    assert columns.get_numbers("sessions").tolist() == [6, 6]
    assert columns.get_numbers("simulated").tolist() == [1, 1]


def test_parquet_with_the_same_columns_gives_the_same(clinic):
    frame = pd.read_csv(clinic / "clinic.csv", na_values=["-9"])
    frame.to_parquet(clinic / "clinic.parquet")
    mapper = read_mapping(clinic / "clinic.toml")
    text = read_cohort(clinic / "clinic.csv", mapper)
    typed = read_cohort(clinic / "clinic.parquet", mapper)
    for name in text.list_recorded():
        assert text.values[name].tolist()[0] == typed.values[name].tolist()[0], name


def test_numeric_codes_are_mapped_however_they_are_stored(tmp_path):
    mapping = tmp_path / "codes.toml"
    mapping.write_text('[values.sex]\n1 = "female"\n2 = "male"\n')
    frame = pd.DataFrame(
        {"patient_id": ["a", "b"], "condition": "depression", "phq9": 9, "sex": [1.0, 2.0]}
    )
    frame.to_parquet(tmp_path / "codes.parquet")
    frame.to_csv(tmp_path / "codes.csv", index=False)
    mapper = read_mapping(mapping)
    typed = read_cohort(tmp_path / "codes.parquet", mapper)
    assert typed.get_numbers("sex").tolist() == [0, 1]


def test_codes_with_a_fraction_are_not_cut_to_whole_ones(tmp_path):
    (tmp_path / "codes.toml").write_text('[values.sex]\n1 = "female"\n"2.5" = "male"\n')
    frame = pd.DataFrame(
        {"patient_id": ["a", "b", "c"], "condition": "depression", "phq9": 9, "sex": [1, 2.5, 1.5]}
    )
    frame.to_parquet(tmp_path / "codes.parquet")
    frame.to_csv(tmp_path / "codes.csv", index=False)
    mapper = read_mapping(tmp_path / "codes.toml")
    for name in ("codes.parquet", "codes.csv"):
        with pytest.raises(CohortError, match=r"sex \(category\), row 3:"):
            read_cohort(tmp_path / name, mapper)


def test_whole_constants_may_be_codes(clinic):
    text = MAPPING.replace('route = "iv"', 'route = "iv"\nsite = 3')
    (clinic / "clinic.toml").write_text(text)
    columns = read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))
    assert columns.get_texts("site").tolist() == ["3", "3"]


def test_unmapped_values_are_refused_by_the_field(clinic):
    (clinic / "clinic.csv").write_text(CLINIC.replace("GAD", "PTBS"))
    with pytest.raises(CohortError, match=r"condition \(category\), row 2"):
        read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))


def test_ranges_are_checked_after_the_conversion(clinic):
    (clinic / "clinic.csv").write_text(CLINIC.replace("500", "5000"))
    with pytest.raises(CohortError, match=r"dose_mg_kg \(range\), row 1"):
        read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))


def test_whole_numbers_are_whole_after_the_conversion():
    """At 18 a rule changes: no rounding error, and no leap day, may decide."""
    years = np.arange(121.0)
    assert convert_unit("years", "months", 12 * years).tolist() == years.tolist()
    assert convert_unit("weeks", "days", 7 * years).tolist() == years.tolist()
    shortest = 365 * years + years // 4
    assert convert_unit("years", "days", shortest).tolist() == years.tolist()
    longest = 365 * years + np.ceil(years / 4)
    assert convert_unit("years", "days", longest).tolist() == years.tolist()
    assert (convert_unit("years", "days", shortest[1:] - 1) < years[1:]).all()
    days = np.arange(44_000.0)
    assert (np.diff(convert_unit("years", "days", days)) >= 0).all()


@pytest.mark.parametrize(
    ("mapping", "field", "rule"),
    [
        ('[rename]\nPHQ_Total = "phq8"\n', "rename: phq8", "unknown"),
        ('[rename]\na = "phq9"\nb = "phq9"\n', "phq9", "duplicate"),
        ('[rename]\na = "phq9"\n[constants]\nphq9 = 3\n', "phq9", "duplicate"),
        ('[values.sex]\nW = "woman"\n', "values.sex.W", "category"),
        ('missing = ["99"]\n[values.sex]\n"99.0" = "other"\n', "values.sex.99.0", "missing"),
        (
            '[values.hepatic_impairment]\nNone = "none"\n',
            "values.hepatic_impairment.None",
            "missing",
        ),
        ('[values.sex]\n1 = "female"\n"1.0" = "male"\n', "values.sex.1.0", "duplicate"),
        ('[values.bipolar]\nja = "perhaps"\n', "values.bipolar.ja", "type"),
        ('[values.phq9]\nsevere = "270"\n', "values.phq9.severe", "range"),
        ('[constants]\nroute = "vein"\n', "constants.route", "category"),
        ('ignore = ["a"]\n[rename]\na = "phq9"\n', "a", "duplicate"),
        ('[units]\nepisode_months = "fortnights"\n', "units.episode_months", "unit"),
        ('[units]\nphq9 = "years"\n', "units.phq9", "unit"),
        ("[surprise]\n", "surprise", "extra_forbidden"),
        ("rename = 3\n", "rename", "dict_type"),
        ("[rename\n", "file", "toml"),
        ('delimiter = "and"\n', "delimiter", "literal_error"),
        ('decimal = ";"\n', "decimal", "literal_error"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(tmp_path, mapping, field, rule):
    path = tmp_path / "mapping.toml"
    path.write_text(mapping)
    with pytest.raises(MappingError) as refused:
        read_mapping(path)
    assert (field, rule) in {(p.field, p.rule) for p in refused.value.problems}


def test_mapping_may_begin_with_a_byte_order_mark(clinic):
    """As Notepad writes it, with CR and LF."""
    text = "\ufeff" + MAPPING.replace("\n", "\r\n")
    (clinic / "clinic.toml").write_bytes(text.encode())
    assert read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml")).size == 2
    (clinic / "clinic.toml").write_bytes(MAPPING.encode("utf-16"))
    with pytest.raises(MappingError, match="must be UTF-8"):
        read_mapping(clinic / "clinic.toml")


def test_mapping_of_missing_columns_is_refused(clinic):
    text = MAPPING.replace('Pat = "patient_id"', 'Pat = "patient_id"\nBMI_kg = "bmi"')
    (clinic / "clinic.toml").write_text(text)
    with pytest.raises(CohortError, match=r"BMI_kg \(missing_column\)"):
        read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ('[values.agent]\nK = "ketamine"\n', "values.agent"),
        ('[values.route]\nIV = "iv"\n', "values.route"),
        ('[units]\nonset_age = "months"\n', "units.onset_age"),
    ],
)
def test_codes_and_units_for_no_column_are_refused(clinic, lines, field):
    table = lines.splitlines()[0]
    text = MAPPING.replace(table, lines) if table in MAPPING else MAPPING + lines
    (clinic / "clinic.toml").write_text(text)
    with pytest.raises(CohortError) as refused:
        read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))
    assert [(p.field, p.rule) for p in refused.value.problems] == [(field, "missing_column")]


def test_identifier_is_refused_even_if_ignored(clinic):
    text = CLINIC.replace("note", "last_name")
    (clinic / "clinic.csv").write_text(text)
    (clinic / "clinic.toml").write_text(MAPPING.replace('"note"', '"last_name"'))
    with pytest.raises(CohortError, match=r"last_name \(identifier\)"):
        read_cohort(clinic / "clinic.csv", read_mapping(clinic / "clinic.toml"))


def test_a_known_conversion_is_right():
    assert UNITS["months"]["years"] == 12
    assert UNITS["mg/kg"]["mg/lb"] == pytest.approx(2.2046, abs=1e-4)
    assert UNITS["mmHg"]["kPa"] == pytest.approx(7.5006, abs=1e-4)
    # 150 lb and 65 in are 24.96 kg/m².
    assert 150 / 65**2 * UNITS["kg/m²"]["lb/in²"] == pytest.approx(24.96, abs=0.01)


def test_decimal_commas_are_read_in_texts_of_any_format(tmp_path):
    """Missing codes and words keep their own form; a column of numbers has no commas."""
    (tmp_path / "comma.toml").write_text('decimal = ","\nmissing = ["k.A.", "99"]\n')
    mapper = read_mapping(tmp_path / "comma.toml")
    frame = pd.DataFrame({"patient_id": ["a.1", "b", "c"], "condition": "depression", "phq9": 9})
    frame["age"] = ["44,5", "k.A.", "99,0"]
    frame["bmi"] = [21.5, 22.0, 23.0]
    frame.to_parquet(tmp_path / "texts.parquet")
    frame["age"] = frame["age"].astype("category")
    frame.to_parquet(tmp_path / "categories.parquet")
    frame["bmi"] = ["21,5", "22", "23"]
    frame.to_csv(tmp_path / "texts.csv", index=False)
    for name in ("texts.csv", "texts.parquet", "categories.parquet"):
        columns = read_cohort(tmp_path / name, mapper)
        assert columns.get_numbers("age")[0] == 44.5
        assert columns.find_missing("age").tolist() == [False, True, True]
        assert columns.get_numbers("bmi").tolist() == [21.5, 22, 23]
        assert columns.get_texts("patient_id")[0] == "a.1"


def test_a_draft_is_refused_until_its_mark_is_removed(tmp_path):
    path = tmp_path / "draft.toml"
    for mark, is_draft in (("true", True), ('"yes"', True), ("false", False)):
        path.write_text(f"draft = {mark}\n[rename]\nTotal = 'phq9'\n")
        if is_draft:
            with pytest.raises(MappingError, match=r"draft \(draft\): this mapping is a draft"):
                read_mapping(path)
        else:
            assert read_mapping(path).rename == {"Total": "phq9"}
