"""A written cohort reads back as the same columns, pro-rated totals included."""

import pyarrow.parquet as parquet
import pytest

from features.base.errors import InputError
from features.records.cohort import digest_cohort, read_cohort
from features.records.writing import make_cohort_table, write_table_atomic

# The third patient leaves one item blank, so that the total is pro-rated.
ITEMS = ",".join(f"phq9_{n}" for n in range(1, 10))
COHORT = f"""\
patient_id,course,condition,assessed_on,bipolar,sex,bmi,{ITEMS},phq9_acute
007,1,depression,2024-02-29,true,female,24.1,1,1,1,1,1,1,1,1,1,4
b,2,ptsd,,false,,,3,3,3,3,3,3,3,3,3,
c,,anxiety,2023-01-01,,other,30.25,2,2,2,2,2,2,2,2,,1
"""


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_written_cohort_reads_back(tmp_path, ending):
    (tmp_path / "raw.csv").write_text(COHORT)
    before = read_cohort(tmp_path / "raw.csv")
    write_table_atomic(make_cohort_table(before), tmp_path / f"cohort{ending}")
    after = read_cohort(tmp_path / f"cohort{ending}")
    assert digest_cohort(after) == digest_cohort(before)
    assert after.find_prorated("phq9").tolist() == [False, False, True]
    assert after.get_numbers("phq9").tolist() == [9, 27, 18]
    assert after.get_texts("patient_id").tolist() == ["007", "b", "c"]


def test_words_and_days_are_written_as_such(tmp_path):
    (tmp_path / "raw.csv").write_text(COHORT)
    table = make_cohort_table(read_cohort(tmp_path / "raw.csv"), {"data": "x"})
    write_table_atomic(table, tmp_path / "cohort.parquet")
    schema = parquet.read_schema(tmp_path / "cohort.parquet")
    assert schema.metadata[b"data"] == b"x"
    assert (str(schema.field("sex").type), str(schema.field("assessed_on").type)) == (
        "string",
        "date32[day]",
    )
    assert table["bipolar"].to_pylist() == [True, False, None]
    assert table["phq9"].to_pylist() == [9, 27, None]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in one of: \.parquet, \.csv"):
        write_table_atomic(None, tmp_path / "cohort.xlsx")
    assert not list(tmp_path.iterdir())
