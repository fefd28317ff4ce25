"""Folders and several files that are one table, in formats other than Parquet."""

import gzip

import pytest
from workbooks import write_xlsx

from features.base.errors import CohortError
from features.records.cohort import read_batches, read_cohort
from features.records.mapping import Mapper
from features.sources.tables import open_table

HEADER = "patient_id,condition,phq9\n"


def list_patients(paths):
    return read_cohort(paths).get_texts("patient_id").tolist()


@pytest.fixture
def months(tmp_path):
    """A folder with a file for each month."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    for number in (1, 2, 10):
        (folder / f"month{number}.csv").write_text(f"{HEADER}p{number},depression,17\n")
    return folder


def test_folder_of_text_files_is_read_in_order(months):
    (months / "~$month1.xlsx").touch()
    assert list_patients(months) == ["p1", "p2", "p10"]


def test_compressed_parts_may_lie_beside_others(months):
    content = f"{HEADER}p11,depression,17\n".encode()
    (months / "month11.csv.gz").write_bytes(gzip.compress(content))
    assert list_patients(months) == ["p1", "p2", "p10", "p11"]


def test_several_files_are_one_table(months, tmp_path):
    paths = [months / "month10.csv", months / "month1.csv"]
    assert list_patients(paths) == ["p10", "p1"]
    write_xlsx(tmp_path / "x.xlsx", {"S": [HEADER.strip().split(","), ["x", "depression", 3]]})
    assert list_patients([*paths, tmp_path / "x.xlsx"]) == ["p10", "p1", "x"]


def test_columns_may_stand_in_another_order(months):
    (months / "month1.csv").write_text("phq9,patient_id,condition\n3,p1,depression\n")
    assert read_cohort(months).get_numbers("phq9").tolist() == [3, 17, 17]


def test_parts_with_other_columns_are_refused(months):
    (months / "month2.csv").write_text("patient_id,condition,gad7\np2,depression,17\n")
    with pytest.raises(CohortError) as refused:
        read_cohort(months)
    fields = [(p.field, p.rule) for p in refused.value.problems]
    assert fields == [("phq9", "missing_column"), ("gad7", "missing_column")]


def test_folder_of_mixed_formats_is_refused(months):
    write_xlsx(months / "x.xlsx", {"S": [HEADER.strip().split(","), ["x", "depression", 3]]})
    with pytest.raises(CohortError, match="of one format"):
        read_cohort(months)


def test_rows_are_numbered_through_all_parts(months):
    """Also those that have too few or too many values, which Arrow skips."""
    (months / "month1.csv").write_text(f"{HEADER}a,depression,17\nb,depression\nc,depression,3\n")
    (months / "month2.csv").write_text(f"{HEADER}d,depression,99\ne,depression,1,2\nf,x,3\n")
    (months / "month10.csv").write_text(f"{HEADER}g,depression,99\n")
    table = open_table(months)
    batches = list(read_batches(table, Mapper()))
    problems = {(p.field, p.rows) for batch in batches for p in batch.problems}
    assert problems == {("phq9", (4,)), ("condition", (6,)), ("phq9", (7,))}
    assert [(p.rule, p.rows) for p in table.list_ragged()] == [("columns", (2, 5))]


def test_folders_named_after_values_are_columns_of_any_format(tmp_path):
    for site in ("north", "south"):
        (tmp_path / "cohort" / f"site={site}").mkdir(parents=True)
        text = f"{HEADER}{site[0]},depression,17\n"
        (tmp_path / "cohort" / f"site={site}" / "part.csv").write_text(text)
    assert read_cohort(tmp_path / "cohort").get_texts("site").tolist() == ["north", "south"]


def test_form_holds_for_each_part(months):
    for path in months.iterdir():
        path.write_bytes(path.read_text().replace(",", ";").encode("utf-16"))
    mapper = Mapper(delimiter=";", encoding="utf-16")
    assert read_cohort(months, mapper).size == 3
