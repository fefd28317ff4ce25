"""Arrow columns from Parquet or text files: accepted types and values."""

from datetime import date, datetime
from decimal import Decimal
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from features.dictionary.dictionary import load_dictionary
from features.intake.codes import make_codes
from features.records.arrow import parse_arrow
from features.records.mapping import convert_unit
from features.sources.source_form import SourceForm

FIELDS = load_dictionary().fields


def read(name, values, kind=None, convert=None):
    parsed = parse_arrow(FIELDS[name], pa.array(values, kind), convert)
    broken = {rule: np.flatnonzero(mask).tolist() for rule, mask in parsed.broken.items()}
    return parsed.values.tolist(), broken


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()])
def test_flags_may_be_stored_as_0_and_1(kind):
    values, broken = read("bipolar", [0, 1, 2, None], kind)
    assert values == pytest.approx([0, 1, np.nan, np.nan], nan_ok=True)
    assert broken == {"type": [2]}
    assert read("bipolar", [False, True]) == ([0, 1], {})


def test_words_of_a_mapping_hold_for_stored_numbers():
    """As `[values.failed_antidepressants]` of a clinic that codes "five or more" as 99."""
    field = FIELDS["failed_antidepressants"]
    codes = make_codes(field, (), {"99": "5"}, SourceForm())
    assert parse_arrow(field, pa.array([2, 99]), None, codes).values.tolist() == [2, 5]


def test_codes_may_be_stored_as_whole_numbers():
    assert read("patient_id", [7, 12]) == (["7", "12"], {})
    # As a text file has them if pandas wrote it.
    assert read("patient_id", [7.0]) == (["7.0"], {})


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_stand_for_numbers_and_flags_in_every_text_type(kind):
    assert read("phq9", ["17", None], kind)[0] == pytest.approx([17, np.nan], nan_ok=True)
    assert read("phq9", ["x"], kind)[1] == {"type": [0]}
    assert read("bipolar", ["yes", "0"], kind) == ([1, 0], {})


def test_dates_times_and_decimals_are_read():
    days = (date(2026, 2, 28) - date(1970, 1, 1)).days
    assert read("assessed_on", [date(2026, 2, 28)]) == ([days], {})
    assert read("assessed_on", [datetime(2026, 2, 28, 23, 59)]) == ([days], {})
    assert read("bmi", [Decimal("31.5")]) == ([31.5], {})
    assert read("bipolar", [Decimal("1.00")]) == ([1], {})


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
def test_short_floats_are_the_decimals_that_were_written(kind):
    values = pa.array(np.array([31.1, 0.5], dtype=kind.to_pandas_dtype()), kind)
    assert read("dose_mg_kg", [0.1, None], kind)[0] == pytest.approx([0.1, np.nan], nan_ok=True)
    assert parse_arrow(FIELDS["age"], values).values.tolist() == [31.1, 0.5]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_are_read_by_the_day_of_their_zone(unit):
    hours = pa.array([23 * 3600, -3600], pa.int64()).cast(pa.timestamp("s"))
    there = hours.cast(pa.timestamp(unit)).cast(pa.timestamp(unit, "Europe/Berlin"))
    day = pa.array([20_000 * 86_400 + 23 * 3600], pa.int64()).cast(pa.timestamp("s"))
    parsed = parse_arrow(FIELDS["assessed_on"], day.cast(pa.timestamp(unit, "Europe/Berlin")))
    assert parsed.values.tolist() == [20_001]
    assert list(parse_arrow(FIELDS["assessed_on"], there).broken) == ["range"]


@pytest.mark.parametrize(
    ("array", "rule"),
    [
        (pa.array([date(9999, 12, 31)]), "range"),
        (pa.array([date(1, 1, 1)]), "range"),
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "date"),
        (pa.array([-(2**31)], pa.int32()).cast(pa.date32()), "date"),
        (pa.array([2**62], pa.int64()).cast(pa.timestamp("s")), "date"),
        (pa.array([-(2**62)], pa.int64()).cast(pa.timestamp("us")), "date"),
        (pa.array([2**62], pa.int64()).cast(pa.date64()), "date"),
        (pa.array([0], pa.int64()).cast(pa.timestamp("s", "Nowhere/Atlantis")), "type"),
    ],
)
def test_dates_that_stand_for_none_are_refused_by_the_field(array, rule):
    assert list(parse_arrow(FIELDS["assessed_on"], array).broken) == [rule]


NESTED = [
    pa.array([[44.0], None]),
    pa.array([{"v": 44.0}, None]),
    pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    pa.array([b"44", None]),
    pa.array([44, None], pa.duration("s")),
    pa.array([44, None], pa.time32("s")),
    pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    pa.array([b"0123456789abcdef", None], pa.uuid()),
]


@pytest.mark.parametrize("array", NESTED, ids=lambda array: str(array.type))
@pytest.mark.parametrize("name", ["age", "bipolar", "sex", "site", "assessed_on"])
def test_types_without_a_text_are_refused_by_the_field(name, array):
    parsed = parse_arrow(FIELDS[name], array)
    assert {rule: mask.tolist() for rule, mask in parsed.broken.items()} == {"type": [True, False]}


def test_text_that_is_not_utf8_is_refused_by_the_field():
    buffers = [None, pa.array([0, 1, 3], pa.int32()).buffers()[1], pa.py_buffer(b"\xffok")]
    array = pa.Array.from_buffers(pa.string(), 2, buffers)
    assert list(parse_arrow(FIELDS["sex"], array).broken) == ["category"]
    parsed = parse_arrow(FIELDS["site"], array)
    assert parsed.values.tolist() == [None, "ok"]
    assert list(parsed.broken) == ["pattern"]


def test_nan_null_and_empty_columns_are_missing():
    assert read("bmi", [np.nan, None, 31.0])[0] == pytest.approx([np.nan] * 2 + [31], nan_ok=True)
    assert np.isnan(read("bmi", [None, None], pa.null())[0]).all()
    assert read("bmi", [np.inf])[1] == {"type": [0]}


def test_units_are_converted_before_the_range_is_checked():
    to_milligrams = partial(convert_unit, "mg/kg", "µg/kg")
    assert read("dose_mg_kg", [500.0, 5000.0], convert=to_milligrams)[1] == {"range": [1]}
    assert read("dose_mg_kg", [500.0], convert=to_milligrams)[0] == [0.5]


def test_equal_values_share_one_reading_in_every_row():
    values, broken = read("sex", ["male", "x", "male", None, "x"])
    assert values == pytest.approx([1, np.nan, 1, np.nan, np.nan], nan_ok=True)
    assert broken == {"category": [1, 4]}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_categories_of_data_frames_are_read(kind):
    positions = pa.array([1, 0, None], pa.int8())
    encoded = pa.DictionaryArray.from_arrays(positions, pa.array(["male", "female"], kind))
    values = parse_arrow(FIELDS["sex"], encoded).values.tolist()
    assert values == pytest.approx([0, 1, np.nan], nan_ok=True)
