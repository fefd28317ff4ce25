"""Files of SPSS, Stata and SAS."""

from datetime import date, datetime

import pandas as pd
import pyreadstat
import pytest

from features.base.errors import CohortError, MappingError
from features.records.cohort import read_cohort
from features.records.mapping import Mapper
from features.sources.source_form import SourceForm
from features.sources.tables import open_table

FRAME = pd.DataFrame(
    {
        "pid": ["007", "b", "c"],
        "phq9": [17.0, 99.0, None],
        "sex": [1.0, 2.0, 1.0],
        "born": [date(1958, 3, 4), None, date(2001, 12, 31)],
        "seen": [datetime(2026, 2, 28, 10, 30), datetime(2026, 2, 28), None],
        "site": ["Köln", "unknown", "York"],
    }
)
SEXES = {"sex": {1.0: "female", 2.0: "male"}}
TEXTS = {
    "pid": ["007", "b", "c"],
    "phq9": ["17", "99", None],
    "sex": ["1", "2", "1"],
    "born": ["1958-03-04", None, "2001-12-31"],
    "seen": ["2026-02-28 10:30:00", "2026-02-28", None],
    "site": ["Köln", "unknown", "York"],
}
WRITERS = {
    "sav": lambda frame, path: pyreadstat.write_sav(frame, path),
    "zsav": lambda frame, path: pyreadstat.write_sav(frame, path, compress=True),
    "dta": lambda frame, path: pyreadstat.write_dta(frame, path),
    "xpt": lambda frame, path: pyreadstat.write_xport(frame, path),
    # Letters of ASCII alone.
    "por": lambda frame, path: pyreadstat.write_por(
        frame.rename(columns=str.upper).replace("Köln", "K"), path
    ),
}


def read_columns(path, **form):
    table = open_table(path, SourceForm(**form))
    columns = {name: [] for name in table.names}
    for batch in table.batches:
        for name, texts in batch.to_pydict().items():
            columns[name] += texts
    return columns


@pytest.mark.parametrize("ending", WRITERS)
def test_values_are_those_of_a_text_file(tmp_path, ending):
    path = tmp_path / f"cohort.{ending}"
    WRITERS[ending](FRAME, path)
    columns = {name.lower(): texts for name, texts in read_columns(path).items()}
    if ending == "por":
        columns["site"][0] = "Köln"
    assert columns == TEXTS


@pytest.mark.parametrize("ending", WRITERS)
def test_batches_hold_every_row_once(tmp_path, ending, monkeypatch):
    for size in (1, 2, 3):
        monkeypatch.setattr("features.sources.statistics_files.BATCH_ROWS", size)
        WRITERS[ending](FRAME, tmp_path / f"cohort.{ending}")
        columns = read_columns(tmp_path / f"cohort.{ending}")
        assert next(iter(columns.values())) == ["007", "b", "c"]


def test_missing_values_of_users_are_missing(tmp_path):
    ranges = {"phq9": [99.0], "site": ["unknown"], "sex": [{"lo": 2, "hi": 9}]}
    pyreadstat.write_sav(FRAME, tmp_path / "cohort.sav", missing_ranges=ranges)
    columns = read_columns(tmp_path / "cohort.sav")
    assert columns["phq9"] == ["17", None, None]
    assert columns["site"] == ["Köln", None, "York"]
    assert columns["sex"] == ["1", None, "1"]


def test_tagged_missing_values_are_missing(tmp_path):
    frame = pd.DataFrame({"phq9": ["a", 17, 3]}, dtype=object)
    pyreadstat.write_dta(frame, tmp_path / "c.dta", missing_user_values={"phq9": ["a"]})
    assert read_columns(tmp_path / "c.dta")["phq9"] == [None, "17", "3"]


@pytest.mark.parametrize("ending", ["sav", "dta"])
def test_labels_replace_codes_if_wanted(tmp_path, ending):
    path = tmp_path / f"cohort.{ending}"
    labels = {**SEXES, "phq9": {99.0: "refused"}}
    if ending == "dta":  # whole numbers alone have labels there
        frame, labels = FRAME.astype({"sex": int}), {"sex": {1: "female", 2: "male"}}
        pyreadstat.write_dta(frame, path, variable_value_labels=labels)
    else:
        pyreadstat.write_sav(FRAME, path, variable_value_labels=labels)
    assert read_columns(path)["sex"] == ["1", "2", "1"]
    assert read_columns(path, labels=["sex"])["sex"] == ["female", "male", "female"]
    texts = read_columns(path, labels="text")
    assert texts["sex"] == ["female", "male", "female"]
    assert texts["phq9"] == ["17", "refused" if ending == "sav" else "99", None]
    assert open_table(path).labels["sex"] == {"1": "female", "2": "male"}


def test_labels_that_do_not_exist_are_refused(tmp_path):
    pyreadstat.write_sav(FRAME, tmp_path / "c.sav", variable_value_labels=SEXES)
    for labels, fields in ((["phq9", "sex", "x"], ["phq9", "x"]),):
        with pytest.raises(MappingError) as refused:
            read_columns(tmp_path / "c.sav", labels=labels)
        assert [(p.field, p.rule) for p in refused.value.problems] == [
            (f, "labels") for f in fields
        ]
    pyreadstat.write_sav(FRAME, tmp_path / "c.sav")
    with pytest.raises(MappingError, match="no labels"):
        read_columns(tmp_path / "c.sav", labels="text")


def test_descriptions_of_columns_are_kept(tmp_path):
    pyreadstat.write_sav(FRAME[["pid"]], tmp_path / "c.sav", column_labels=["Subject"])
    assert open_table(tmp_path / "c.sav").descriptions == {"pid": "Subject"}


def test_dates_of_stata_are_read_in_any_layout(tmp_path):
    frame = pd.DataFrame({"day": [24165.0], "time": [24165.0 * 86400_000]})
    formats = {"day": "%tdDD/NN/CCYY", "time": "%tcDD/NN/CCYY_HH:MM"}
    pyreadstat.write_dta(frame, tmp_path / "c.dta", variable_format=formats)
    expected = {"day": ["2026-02-28"], "time": ["2026-02-28"]}
    assert read_columns(tmp_path / "c.dta") == expected


def test_date_beyond_all_calendars_is_refused_by_its_column(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3e11, 1.0]})
    pyreadstat.write_sav(frame, tmp_path / "c.sav", variable_format={"b": "DATE11"})
    with pytest.raises(CohortError) as refused:
        read_columns(tmp_path / "c.sav")
    assert [(p.field, p.rule) for p in refused.value.problems] == [("b", "date")]


def test_another_encoding_is_named_by_the_mapping(tmp_path):
    pyreadstat.write_sav(FRAME[["pid", "site"]], tmp_path / "c.sav")
    content = (tmp_path / "c.sav").read_bytes()
    (tmp_path / "c.sav").write_bytes(content.replace("Köln".encode(), "Köln ".encode("cp1252")))
    with pytest.raises(CohortError, match="name the right one in a mapping"):
        read_columns(tmp_path / "c.sav")
    for encoding in ("windows-1252", "latin-1"):
        assert read_columns(tmp_path / "c.sav", encoding=encoding)["site"][0] == "Köln"


@pytest.mark.parametrize("ending", WRITERS)
def test_damaged_file_is_refused(tmp_path, ending):
    path = tmp_path / f"cohort.{ending}"
    WRITERS[ending](FRAME, path)
    content = path.read_bytes()
    for kept in (0, 10, 200, len(content) * 2 // 3):
        path.write_bytes(content[:kept])
        with pytest.raises(CohortError) as refused:
            read_columns(path)
        assert [(p.field, p.rule) for p in refused.value.problems] == [("file", "format")], kept


def test_cohort_from_spss(tmp_path):
    frame = FRAME.rename(columns={"pid": "patient_id", "seen": "assessed_on"})
    ranges = {"phq9": [99.0], "site": ["unknown"]}
    frame["site"] = ["north", "unknown", "south"]
    pyreadstat.write_sav(
        *(frame, tmp_path / "c.sav"), variable_value_labels=SEXES, missing_ranges=ranges
    )
    mapper = Mapper(labels=("sex",), constants={"condition": "depression"}, ignore=("born",))
    columns = read_cohort(tmp_path / "c.sav", mapper, incomplete=True)
    assert columns.get_numbers("sex").tolist() == [0, 1, 0]
    assert columns.get_texts("site").tolist() == ["north", None, "south"]
    assert columns.get_numbers("assessed_on").tolist()[:2] == [20512, 20512]
