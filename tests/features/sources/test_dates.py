"""Dates in texts: as ISO has them, as a mapping says, or refused."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from features.base.errors import CohortError, MappingError
from features.records.cohort import read_cohort
from features.records.mapping import Mapper, read_mapping
from features.sources.dates import find_days, write_iso_date

DAY = (date(2026, 4, 3) - date(1970, 1, 1)).days
WRITTEN = {
    "DD/MM/YYYY": ["03/04/2026", "3/4/2026", " 03/04/2026 10:15", "03/04/2026 1:15:30 PM"],
    "MM/DD/YYYY": ["04/03/2026", "4/3/2026"],
    "DD.MM.YYYY": ["03.04.2026", "3.4.2026 00:00:00"],
    "D. M. YYYY": ["3. 4. 2026"],
    "YYYY/MM/DD": ["2026/04/03", "2026/4/3T10:15:30.5Z"],
    "YYYYMMDD": ["20260403"],
    "DDMMYYYY": ["03042026"],
    "DD-MMM-YYYY": ["03-APR-2026", "3-apr-2026"],
    "DDMMMYYYY": ["03APR2026"],
}


@pytest.mark.parametrize("pattern", WRITTEN)
def test_dates_are_read_as_the_mapping_says_and_as_iso(pattern):
    texts = [*WRITTEN[pattern], "2026-04-03", "2026-04-03 10:15", None, "NA", ""]
    days, broken = find_days(pa.array(texts), pattern)
    assert not broken.any()
    assert days[:-3].tolist() == [DAY] * (len(texts) - 3)
    assert np.isnan(days[-3:]).all()


@pytest.mark.parametrize(
    "text",
    [
        "31/02/2026",
        "04/13/2026",
        "3.4.2026",
        "03/04/26",
        "soon",
        "0/4/2026",
        "03-04-2026x",
        "20260",
    ],
)
def test_impossible_days_and_other_forms_are_not_dates(text):
    days, broken = find_days(pa.array([text]), "DD/MM/YYYY")
    assert (np.isnan(days).tolist(), broken.tolist()) == ([True], [True])
    assert write_iso_date(text, "DD/MM/YYYY") == text


def test_dates_of_every_arrow_type_are_read():
    days = pa.array([date(2026, 4, 3), None])
    for array in (days, days.cast(pa.timestamp("us")), days.cast(pa.string()).dictionary_encode()):
        numbers, broken = find_days(array)
        assert repr(numbers.tolist()) == repr([float(DAY), float("nan")])
        assert not broken.any()
    assert find_days(pa.array([20, 30]))[1].all()


def test_birth_dates_may_be_older_than_any_assessment():
    assert find_days(pa.array(["01/05/1931"]), "DD/MM/YYYY")[0].tolist() == [-14125.0]


@pytest.mark.parametrize("pattern", ["DD/MM/YY", "DD/MM", "DD/DD/YYYY", "day/MM/YYYY", ""])
def test_pattern_without_one_year_month_and_day_is_refused(tmp_path, pattern):
    (tmp_path / "mapping.toml").write_text(f'dates = "{pattern}"\n')
    with pytest.raises(MappingError, match="must be made of YYYY, MM or MMM, and DD"):
        read_mapping(tmp_path / "mapping.toml")


COHORT = "patient_id,condition,phq9,assessed_on\n{}"


def test_date_fields_follow_the_mapping(write):
    rows = "a,depression,17,03/04/2026\nb,depression,17,2026-04-03\nc,depression,9,01/01/1900\n"
    mapper = Mapper(dates="DD/MM/YYYY", missing=("01/01/1900",))
    columns = read_cohort(write(COHORT.format(rows)), mapper)
    assert columns.get_numbers("assessed_on").tolist()[:2] == [DAY, DAY]
    assert np.isnan(columns.get_numbers("assessed_on")[2])


def test_dates_that_the_mapping_does_not_allow_are_refused_by_row(write):
    rows = "a,depression,17,04/13/2026\nb,depression,17,13/04/2026\nc,depression,9,31/02/2026\n"
    with pytest.raises(CohortError) as refused:
        read_cohort(write(COHORT.format(rows)), Mapper(dates="DD/MM/YYYY"))
    assert [(p.field, p.rule, p.rows) for p in refused.value.problems] == [
        ("assessed_on", "date", (1, 3))
    ]


def test_other_dates_are_named_if_the_mapping_is_silent(write):
    for text in ("03/04/2026", "3.4.2026", "03APR2026", "3 Apr 2026 10:15"):
        with pytest.raises(
            CohortError, match="other dates: a mapping can say how they are written"
        ):
            read_cohort(write(COHORT.format(f"a,depression,17,{text}\n")))
    with pytest.raises(CohortError) as refused:
        read_cohort(write(COHORT.format("a,depression,17,soon\n")))
    assert "mapping" not in str(refused.value)
