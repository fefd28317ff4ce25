"""Arrow columns from Parquet or text files: accepted types and values."""

from datetime import date, datetime
from decimal import Decimal
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from features.dictionary.dictionary import load_dictionary
from features.records.arrow import parse_arrow
from features.records.mapping import convert_unit

FIELDS = load_dictionary().fields


def read(name, values, kind=None, text=False, convert=None):
    parsed = parse_arrow(FIELDS[name], pa.array(values, kind), text, convert)
    broken = {rule: np.flatnonzero(mask).tolist() for rule, mask in parsed.broken.items()}
    return parsed.values.tolist(), broken


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()])
def test_flags_may_be_stored_as_0_and_1(kind):
    values, broken = read("bipolar", [0, 1, 2, None], kind)
    assert values == pytest.approx([0, 1, np.nan, np.nan], nan_ok=True)
    assert broken == {"type": [2]}
    assert read("bipolar", [False, True]) == ([0, 1], {})


def test_codes_may_be_stored_as_whole_numbers():
    assert read("patient_id", [7, 12]) == (["7", "12"], {})
    assert read("patient_id", [7.0])[1] == {"type": [0]}


def test_texts_stand_for_numbers_only_in_text_files():
    assert read("phq9", ["17"], text=True) == ([17], {})
    assert read("phq9", ["17"])[1] == {"type": [0]}


def test_dates_times_and_decimals_are_read():
    days = (date(2026, 2, 28) - date(1970, 1, 1)).days
    assert read("assessed_on", [date(2026, 2, 28)]) == ([days], {})
    assert read("assessed_on", [datetime(2026, 2, 28, 23, 59)]) == ([days], {})
    assert read("bmi", [Decimal("31.5")]) == ([31.5], {})


def test_nan_null_and_empty_columns_are_missing():
    assert read("bmi", [np.nan, None, 31.0])[0] == pytest.approx([np.nan] * 2 + [31], nan_ok=True)
    assert np.isnan(read("bmi", [None, None], pa.null())[0]).all()


def test_units_are_converted_before_the_range_is_checked():
    to_milligrams = partial(convert_unit, "mg/kg", "µg/kg")
    assert read("dose_mg_kg", [500.0, 5000.0], convert=to_milligrams)[1] == {"range": [1]}
    assert read("dose_mg_kg", [500.0], convert=to_milligrams)[0] == [0.5]


def test_equal_values_share_one_reading_in_every_row():
    values, broken = read("sex", ["male", "x", "male", None, "x"])
    assert values == pytest.approx([1, np.nan, 1, np.nan, np.nan], nan_ok=True)
    assert broken == {"category": [1, 4]}
    encoded = pa.array(["male", "female"]).dictionary_encode()
    assert parse_arrow(FIELDS["sex"], encoded, text=False).values.tolist() == [1, 0]
