"""Single values: ranges, integers, dates, flags, codes."""

from datetime import date

import numpy as np
import pytest

from features.dictionary.dictionary import load_dictionary
from features.records.parsing import (
    JSON_READERS,
    TEXT_READERS,
    RuleBroken,
    check_numbers,
    count_days,
    parse_values,
)

FIELDS = load_dictionary().fields


def list_broken(name, values, readers=JSON_READERS):
    parsed = check_numbers(FIELDS[name], parse_values(FIELDS[name], values, readers))
    return {rule: np.flatnonzero(mask).tolist() for rule, mask in parsed.broken.items()}


def read_text(name, value):
    parsed = check_numbers(FIELDS[name], parse_values(FIELDS[name], [value], TEXT_READERS))
    return "broken" if parsed.broken else parsed.values[0]


@pytest.mark.parametrize(
    ("name", "low", "high", "step"),
    [("phq9", 0, 27, 1), ("age", 0, 120, 0.001), ("dose_mg_kg", 0.05, 2, 0.001),
     ("systolic", 50, 300, 0.001), ("sessions", 1, 100, 1), ("course", 1, 999, 1)],
)  # fmt: skip
def test_ranges_include_both_ends_and_nothing_beyond(name, low, high, step):
    assert list_broken(name, [low, high]) == {}
    assert list_broken(name, [low - step, high + step]) == {"range": [0, 1]}


def test_a_fraction_breaks_whole_numbers_alone():
    assert list_broken("phq9", [3, 3.5, 3.0, 28.5]) == {"whole": [1], "range": [3]}
    assert list_broken("age", [44.5]) == {}


@pytest.mark.parametrize("value", [True, "3", None, float("nan"), float("inf"), [3]])
def test_only_finite_numbers_are_numbers(value):
    assert list_broken("phq9", [value]) == ({} if value is None else {"type": [0]})


def test_number_beyond_floats_is_out_of_range():
    assert list_broken("age", [10**400]) == {"range": [0]}


def test_dates_are_counted_from_1970():
    assert count_days("2026-02-28") == (date(2026, 2, 28) - date(1970, 1, 1)).days
    assert count_days("1990-01-01") == 7305
    assert count_days("2100-12-31") == 47846


@pytest.mark.parametrize(
    ("value", "rule"),
    [("1989-12-31", "range"), ("2101-01-01", "range"), ("2026-02-29", "date"),
     ("20260228", "date"), ("2026-2-28", "date"), (20260228, "type")],
)  # fmt: skip
def test_other_dates_are_refused(value, rule):
    with pytest.raises(RuleBroken, match=rule):
        count_days(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), (" 3 ", 3), ("+3", 3), ("3.", 3), (".5", "broken"), ("3e0", 3), ("30e-1", 3),
     ("1e1000", "broken"), ("3,0", "broken"), ("0x3", "broken"), ("", "broken"), ("3 4", "broken")],
)  # fmt: skip
def test_numbers_in_text_files(text, value):
    assert read_text("phq9", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", 1), ("Yes", 1), ("Y", 1), ("1", 1), (" FALSE ", 0), ("no", 0), ("n", 0), ("0", 0),
     ("1.0", 1), ("0.0", 0), ("2", "broken"), ("0.5", "broken"), ("maybe", "broken")],
)  # fmt: skip
def test_flags_in_text_files(text, value):
    assert read_text("bipolar", text) == value


@pytest.mark.parametrize(
    ("text", "accepted"),
    [("2026-02-28", True), ("2026-02-28 23:59", True), ("2026-02-28T23:59:00.5+01:00", True),
     ("2026-02-28 midnight", False), ("20260228", False), ("2026-02-30 10:00", False),
     ("20260228T235900", False)],
)  # fmt: skip
def test_time_of_day_is_left_out_of_dates_in_text_files(text, accepted):
    assert read_text("assessed_on", text) == (count_days("2026-02-28") if accepted else "broken")
    assert list_broken("assessed_on", ["2026-02-28 23:59"]) == {"date": [0]}


@pytest.mark.parametrize(
    ("code", "accepted"),
    [("a", True), ("A-1.b:2_c", True), ("a" * 64, True), ("a" * 65, False), ("", False),
     ("-a", False), ("a b", False), ("a@b", False), ("a\n", False), ("ä", False)],
)  # fmt: skip
def test_codes_cannot_hold_names_or_addresses(code, accepted):
    assert list_broken("patient_id", [code]) == ({} if accepted else {"pattern": [0]})


def test_categories_are_counted_from_0_in_their_order():
    parsed = parse_values(FIELDS["condition"], ["depression", "ptsd", None], JSON_READERS)
    assert parsed.values.tolist() == pytest.approx([0, 2, np.nan], nan_ok=True)
    assert list_broken("condition", ["Depression", 0]) == {"category": [0], "type": [1]}
