"""Columns of a cohort: what is stacked of them."""

import numpy as np

from features.records.assessment import read_assessments
from features.records.columns import Columns


def test_no_fields_make_a_table_of_no_lines(make_assessment):
    from_json = read_assessments([make_assessment(), make_assessment()])
    in_memory = Columns(2, {"phq9": np.array([12.0, 13.0])})
    assert from_json.stack(()).shape == in_memory.stack(()).shape == (0, 2)


def test_a_field_that_is_not_there_is_missing():
    stacked = Columns(2, {"phq9": np.array([12.0, 13.0])}).stack(("age", "phq9"))
    assert np.isnan(stacked[0]).all()
    assert stacked[1].tolist() == [12, 13]
