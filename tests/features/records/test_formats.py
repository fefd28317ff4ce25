"""A table gives the same cohort, or the same refusal, however it is stored."""

import csv
import json
import re
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbooks import write_xlsx

from features.base.errors import CohortError
from features.records.cohort import read_batches, read_cohort
from features.records.mapping import read_mapping
from features.sources.tables import open_table, wrap_table

MAPPINGS = (
    "",
    'missing = ["99", "-9.9", "refused", "1900-01-01"]\n',
    'missing = ["99.0"]\n[values.sex]\n1 = "female"\n"2.0" = "male"\nM = "male"\n',
    '[values.bipolar]\n2 = "true"\nfalse = "no"\n[values.site]\n7 = "north"\n',
    '[values.phq9]\nsevere = "20"\n77 = "0"\n[units]\nepisode_months = "weeks"\n',
)
BLANKS = ("", "NA", "None", "nan", "refused")
WORDS = {
    "patient_id": ("a", "7", "007", "99"),
    "condition": ("depression", "ptsd", "1", "Depression"),
    "phq9": ("17", "3.0", "99", "77", "17.5", "severe", "1e1", "-9.9", "1e400"),
    "episode_months": ("12", "0.1", "99", "99.0", "-9.9", " 5 ", "inf", "3000"),
    "bipolar": ("1", "0", "1.0", "0.0", "2", "yes", "true", "False", "0.5", "99"),
    "sex": ("female", "M", "1", "1.0", "2", "1.5", "99"),
    "site": ("north", "7", "7.0", "007", "99", "a b", "Köln"),
    "assessed_on": ("2026-02-28", "1900-01-01", "9999-12-31", "2026-02-30", "20260228"),
}


def store_texts(texts):
    """Every way to store texts."""
    kinds = (pa.string(), pa.large_string(), pa.string_view())
    plain = [pa.array(texts, kind) for kind in kinds]
    return [*plain, plain[0].dictionary_encode(), plain[1].dictionary_encode()]


def store_numbers(texts, is_code):
    """Every way to store numbers; of codes, those in which all their digits stay."""
    numbers = [None if text is None else float(text) for text in texts]
    known = [number for number in numbers if number is not None]
    arrays = []
    if all(number.is_integer() and abs(number) < 100 for number in known):
        whole = [None if number is None else int(number) for number in numbers]
        kinds = (pa.int8(), pa.int32(), pa.int64(), *([pa.uint16()] if min(known) >= 0 else []))
        if not is_code or all(t is None or t == str(n) for t, n in zip(texts, whole, strict=True)):
            arrays += [pa.array(whole, kind) for kind in kinds]
            arrays.append(pa.array(whole, pa.int64()).dictionary_encode())
    if not is_code or all(t is None or t == str(n) for t, n in zip(texts, numbers, strict=True)):
        arrays += [pa.array(numbers, kind) for kind in (pa.float32(), pa.float64())]
    if not is_code and all(map(np.isfinite, known)):
        exact = [None if text is None else Decimal(text.strip()) for text in texts]
        kinds = (pa.decimal64(12, 3), pa.decimal128(20, 2), pa.decimal256(60, 3))
        arrays += [pa.array(exact, kind) for kind in kinds]
    return arrays


def store_dates(texts):
    """Every way to store dates."""
    days = pa.array(texts).cast(pa.date32())
    seconds = days.cast(pa.timestamp("s"))
    times = [seconds.cast(pa.timestamp(unit)) for unit in ("s", "ms", "us")]
    return [days, days.cast(pa.date64()), *times, seconds.cast(pa.timestamp("s", "UTC"))]


def list_arrays(name, column):
    """Every Arrow array that holds a column of texts, the empty one missing."""
    texts = [text or None for text in column]
    known = [text for text in texts if text is not None]
    arrays = store_texts(texts)
    if not known:
        return [*arrays, pa.nulls(len(texts))]
    if all(is_number(text) for text in known):
        arrays += store_numbers(texts, name in ("site", "patient_id"))
    if all(text in ("true", "False") for text in known):
        arrays.append(pa.array([text and text == "true" for text in texts]))
    if all(text in WORDS["assessed_on"][:3] for text in known):
        arrays += store_dates(texts)
    return arrays


def is_number(text):
    try:
        return abs(float(text)) < 1e6 or text == "inf"
    except ValueError:
        return False


def describe_cohort(table, mapper):
    """An open table's values, and what is wrong with which of its rows."""
    try:
        (batch,) = read_batches(table, mapper)
    except CohortError as error:
        return repr([(problem.field, problem.rule) for problem in error.problems])
    values = {name: batch.columns.values[name].tolist() for name in WORDS}
    return repr((values, [(p.field, p.rule, p.rows) for p in batch.problems]))


@st.composite
def tables(draw):
    """Columns as texts, each stored in some way, and the mapping for them."""
    size = draw(st.integers(1, 4))
    columns, stored = {}, {}
    for name, words in WORDS.items():
        # Few words a column, so that it often fits the types that hold no others.
        few = draw(st.lists(st.sampled_from((*words, *BLANKS)), min_size=1, max_size=2))
        columns[name] = draw(st.lists(st.sampled_from(few), min_size=size, max_size=size))
        stored[name] = draw(st.sampled_from(list_arrays(name, columns[name])))
    return columns, pa.table(stored), draw(st.sampled_from(MAPPINGS))


@pytest.fixture(scope="module")
def mappers(tmp_path_factory):
    """The mappings, read."""
    folder = tmp_path_factory.mktemp("mappings")
    for number, text in enumerate(MAPPINGS):
        (folder / f"{number}.toml").write_text(text)
    return {text: read_mapping(folder / f"{n}.toml") for n, text in enumerate(MAPPINGS)}


def write_text(path, columns, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_packed(path, columns):
    plain = path.with_suffix("")
    write_text(plain, columns)
    codec = {".gz": "gzip", ".zst": "zstd"}[path.suffix]
    with pa.CompressedOutputStream(str(path), codec) as stream:
        stream.write(plain.read_bytes())


def write_commas(path, columns):
    """Numbers with decimal commas, in the fields that are numbers."""
    write_text(path, {name: swap_points(name, texts) for name, texts in columns.items()}, ";")


def swap_points(name, cells):
    if name not in ("phq9", "episode_months"):
        return cells
    pointed = re.compile(r" ?-?\d*\.\d+ ?")
    swap = [isinstance(cell, str) and pointed.fullmatch(cell) for cell in cells]
    return [c.replace(".", ",") if is_text else c for c, is_text in zip(cells, swap, strict=True)]


def list_cells(columns):
    """Each column as a program has it that stores numbers and dates as such."""
    for name, texts in columns.items():
        present = [text for text in texts if text]
        code = name in ("site", "patient_id")
        if present and all(is_number(text) and text != "inf" for text in present):
            numbers = [float(text) if text else None for text in texts]
            if not code or all(not t or t == f"{n:g}" for t, n in zip(texts, numbers, strict=True)):
                yield name, numbers
                continue
        if present and all(text in WORDS["assessed_on"][:3] for text in present):
            yield name, [date.fromisoformat(text) if text else None for text in texts]
            continue
        yield name, [text or None for text in texts]


def write_workbook(path, columns):
    cells = dict(list_cells(columns))
    if path.name == "commas.xlsx":
        cells = {name: swap_points(name, values) for name, values in cells.items()}
    rows = [list(cells), *map(list, zip(*cells.values(), strict=True))]
    write_xlsx(path, {"Cohort": rows})


def write_statistics(path, columns):
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in list_cells(columns)})
    for name in frame:
        if all(isinstance(value, float | None) for value in frame[name]):
            frame[name] = frame[name].astype(float)
    writer = pyreadstat.write_sav if path.suffix == ".sav" else pyreadstat.write_dta
    writer(frame, path)


def write_lines(path, columns):
    cells = {
        name: [write_json_value(name, value) for value in values]
        for name, values in list_cells(columns)
    }
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_json_value(name, value):
    # Of codes the digits count, and JSON keeps those of numbers.
    if isinstance(value, float) and name in ("site", "patient_id"):
        return int(value)
    return value.isoformat() if isinstance(value, date) else value


# How a table of texts is written in further formats, and what its mapping says of it.
WRITERS = {
    "semicolon.csv": (write_commas, {"delimiter": ";", "decimal": ","}),
    "bars.txt": (lambda path, columns: write_text(path, columns, "|"), {"delimiter": "|"}),
    "old.csv": (
        lambda path, columns: write_text(path, columns, encoding="windows-1252"),
        {"encoding": "windows-1252"},
    ),
    "wide.csv": (
        lambda path, columns: write_text(path, columns, encoding="utf-16"),
        {"encoding": "utf-16"},
    ),
    "cohort.csv.gz": (write_packed, {}),
    "cohort.csv.zst": (write_packed, {}),
    "cohort.xlsx": (write_workbook, {}),
    "commas.xlsx": (write_workbook, {"decimal": ","}),
    "cohort.sav": (write_statistics, {}),
    "cohort.dta": (write_statistics, {}),
    "cohort.ndjson": (write_lines, {}),
}


@settings(deadline=None)  # Files, on a machine that may be busy
@given(table=tables(), further=st.lists(st.sampled_from(sorted(WRITERS)), min_size=3, max_size=3))
def test_every_format_gives_the_same_cohort_or_refusal(mappers, table, further):
    columns, arrow, mapping = table
    mapper = mappers[mapping]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"cohort.{ending}") for ending in ("csv", "tsv", "parquet")]
        write_text(paths[0], columns, ",")
        write_text(paths[1], columns, "\t")
        parquet.write_table(arrow, paths[2])
        opened = [*map(open_table, paths), wrap_table(arrow, "reader")]
        text, *others = [describe_cohort(table, mapper) for table in opened]
        for name in further:
            write, form = WRITERS[name]
            write(Path(folder, name), columns)
            own = mapper.model_copy(update=form)
            others.append(describe_cohort(open_table(Path(folder, name), own), own))
    assert others == [text] * 6


MISSING = 'missing = ["99", "1900-01-01"]\n'
SEXES = '[values.sex]\n1 = "female"\n2 = "male"\n'
NAN = float("nan")
EXPECTED = (
    ("phq9", ("17", "99", ""), [17.0, NAN, NAN]),
    ("age", ("31.5", "44.1", ""), [31.5, 44.1, NAN]),
    ("episode_months", ("99", "12", "99.0"), [NAN, 12.0, NAN]),
    ("bipolar", ("1.0", "0.0", ""), [1.0, 0.0, NAN]),
    ("sex", ("1", "2", "99"), [0.0, 1.0, NAN]),
    ("site", ("7", "99", ""), ["7", None, None]),
    ("assessed_on", ("2026-02-28", "1900-01-01", ""), [20512.0, NAN, NAN]),
)
STORED = [
    pytest.param(name, array, values, id=f"{name}-{array.type}")
    for name, texts, values in EXPECTED
    for array in list_arrays(name, texts)
]


@pytest.mark.parametrize(("name", "array", "values"), STORED)
def test_codes_hold_in_every_type(tmp_path, name, array, values):
    (tmp_path / "mapping.toml").write_text(MISSING + (SEXES if name == "sex" else ""))
    rest = {"patient_id": ["a", "b", "c"], "condition": ["depression"] * 3, "gad7": ["3"] * 3}
    parquet.write_table(pa.table(rest | {name: array}), tmp_path / "cohort.parquet")
    columns = read_cohort(tmp_path / "cohort.parquet", read_mapping(tmp_path / "mapping.toml"))
    assert repr(columns.values[name].tolist()) == repr(values)
