"""Parquet in folders, as Spark, Dask and Hive write it, and columns that no field can have."""

import shutil

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from features.base.errors import CohortError
from features.records.cohort import read_cohort
from features.records.mapping import read_mapping

PATIENT = {"condition": ["depression"], "phq9": [17]}


def write_part(path, patient_id, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"patient_id": [patient_id], **PATIENT, **columns}), path)


def list_patients(path):
    return read_cohort(path).get_texts("patient_id").tolist()


def list_problems(path, **options):
    with pytest.raises(CohortError) as refused:
        read_cohort(path, **options)
    return {(problem.field, problem.rule) for problem in refused.value.problems}


def test_folder_of_dask_is_read_in_the_order_of_its_parts(tmp_path):
    for number in range(12):
        write_part(tmp_path / "cohort" / f"part.{number}.parquet", f"p{number}")
    assert list_patients(tmp_path / "cohort") == [f"p{number}" for number in range(12)]


def test_folder_of_spark_is_read_without_its_notes(tmp_path):
    folder = tmp_path / "cohort.parquet"
    write_part(folder / "part-00000-ab1-c000.snappy.parquet", "a")
    write_part(folder / "part-00001-ab1-c000.snappy.parquet", "b")
    write_part(folder / "_temporary" / "0" / "part-00002-ab1-c000.snappy.parquet", "unfinished")
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000-ab1-c000.snappy.parquet.crc").touch()
    assert list_patients(folder) == ["a", "b"]


def test_folders_named_after_values_are_columns(tmp_path):
    write_part(tmp_path / "cohort" / "site=007" / "part.0.parquet", "a")
    write_part(tmp_path / "cohort" / "site=north%3Aeast" / "part.0.parquet", "b")
    write_part(tmp_path / "cohort" / "site=__HIVE_DEFAULT_PARTITION__" / "part.0.parquet", "c")
    columns = read_cohort(tmp_path / "cohort")
    assert columns.get_texts("patient_id").tolist() == ["a", "c", "b"]
    assert columns.get_texts("site").tolist() == ["007", None, "north:east"]


def test_types_may_differ_between_the_parts_of_a_folder(tmp_path):
    write_part(tmp_path / "cohort" / "part.0.parquet", "a", age=pa.nulls(1))
    write_part(tmp_path / "cohort" / "part.1.parquet", "b", age=["44.5"])
    write_part(tmp_path / "cohort" / "part.2.parquet", "c", age=[45])
    assert read_cohort(tmp_path / "cohort").get_numbers("age").tolist()[1:] == [44.5, 45]


def test_parts_with_other_columns_are_refused(tmp_path):
    write_part(tmp_path / "cohort" / "part.0.parquet", "a", age=[44])
    write_part(tmp_path / "cohort" / "part.1.parquet", "b", bmi=[31])
    expected = {("age", "missing_column"), ("bmi", "missing_column")}
    assert list_problems(tmp_path / "cohort") == expected


@pytest.mark.parametrize("stray", ["part.1.csv", "000000_0", "_delta_log/0.json", "metadata/v1"])
def test_folders_with_anything_else_are_refused(tmp_path, stray):
    write_part(tmp_path / "cohort" / "part.0.parquet", "a")
    (tmp_path / "cohort" / stray).parent.mkdir(exist_ok=True)
    (tmp_path / "cohort" / stray).touch()
    assert list_problems(tmp_path / "cohort") == {("file", "format")}


def test_folders_without_parquet_are_refused(tmp_path):
    assert list_problems(tmp_path) == {("file", "format")}


def test_rows_of_a_damaged_part_are_not_lost(tmp_path):
    write_part(tmp_path / "cohort" / "part.0.parquet", "a")
    (tmp_path / "cohort" / "part.1.parquet").write_bytes(b"PAR1")
    assert list_problems(tmp_path / "cohort") == {("file", "format")}


def test_linked_parts_are_read(tmp_path):
    write_part(tmp_path / "elsewhere" / "part.0.parquet", "a")
    write_part(tmp_path / "cohort" / "part.1.parquet", "b")
    (tmp_path / "cohort" / "linked").symlink_to(tmp_path / "elsewhere")
    assert list_patients(tmp_path / "cohort") == ["a", "b"]
    shutil.rmtree(tmp_path / "elsewhere")
    assert list_problems(tmp_path / "cohort") == {("file", "format")}


@pytest.mark.parametrize("ages", [[[44.0]], [{"v": 44.0}]])
def test_nested_column_is_refused_by_its_field(tmp_path, ages):
    write_part(tmp_path / "cohort.parquet", "a", age=ages, last_visit_notes=[["x"]])
    problems = list_problems(tmp_path / "cohort.parquet", ignore_unknown=True)
    assert problems == {("age", "type")}


def test_nested_columns_can_be_ignored(tmp_path):
    write_part(tmp_path / "cohort.parquet", "a", **{"notes": [["x"]], "notes.page": [1]})
    (tmp_path / "mapping.toml").write_text('ignore = ["notes", "notes.page"]\n')
    mapper = read_mapping(tmp_path / "mapping.toml")
    assert read_cohort(tmp_path / "cohort.parquet", mapper).size == 1
