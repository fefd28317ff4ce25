"""The matrix: independent rows in any order, identical from JSON and Parquet."""

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from features.model.matrix import build_matrix, list_features
from features.records.assessment import read_assessments
from features.records.cohort import read_cohort

BUILT_IN = load_dictionary()

FEATURES = list_features([name for name, f in BUILT_IN.fields.items() if f.group != "item"])
NUMBERS = {
    "age": st.floats(0, 120),
    "bmi": st.floats(10, 100),
    "episode_months": st.floats(0, 1200),
    "benzodiazepine_mg": st.floats(0, 300),
    "expectancy": st.floats(0, 10),
    "phq9": st.integers(0, 27),
    "gad7": st.integers(0, 21),
    "madrs": st.integers(0, 60),
    "madrs_day1": st.integers(0, 60),
    "phq9_acute": st.integers(0, 27),
    "failed_antidepressants": st.integers(0, 50),
    "bipolar": st.booleans(),
    "failed_ect": st.booleans(),
    "sex": st.sampled_from(BUILT_IN.fields["sex"].categories),
    "route": st.sampled_from(BUILT_IN.fields["route"].categories),
}
assessments = st.fixed_dictionaries(
    {
        "patient_id": st.just("a"),
        "condition": st.sampled_from(BUILT_IN.fields["condition"].categories),
        "pcl5": st.integers(0, 80),
    },
    optional=NUMBERS,
)
cohorts = st.lists(assessments, min_size=1, max_size=12)


def build(rows):
    return build_matrix(read_assessments(rows), FEATURES)


def same_bits(first, second):
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


@given(cohorts)
def test_matrix_of_many_stacks_those_of_each(rows):
    assert same_bits(build(rows), np.vstack([build([row]) for row in rows]))


@given(cohorts, st.randoms(use_true_random=False))
def test_order_of_rows_and_keys_does_not_matter(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    shuffled = [dict(random.sample(list(rows[index].items()), len(rows[index]))) for index in order]
    assert same_bits(build(shuffled), build(rows)[order])


@settings(max_examples=25)
@given(rows=cohorts)
def test_json_and_parquet_give_identical_matrices(rows, tmp_path_factory):
    import pyarrow as pa

    numbered = [row | {"patient_id": f"p{number}"} for number, row in enumerate(rows)]
    path = tmp_path_factory.mktemp("bits") / "cohort.parquet"
    names = sorted({name for row in numbered for name in row})
    table = pa.table({name: [row.get(name) for row in numbered] for name in names})
    parquet.write_table(table, path)
    assert same_bits(build_matrix(read_cohort(path), FEATURES), build(numbered))


def test_missing_is_nan_and_nothing_is_filled_in(make_assessment):
    matrix = build([make_assessment(age=None)])
    by_name = dict(zip([feature.name for feature in FEATURES], matrix[0], strict=True))
    assert np.isnan(by_name["age"])
    assert np.isnan(by_name["age_from_65"])
    assert by_name["phq9"] == 17
    assert by_name["sex=female"] == 1
    assert by_name["sex=male"] == 0


@pytest.mark.parametrize(
    ("field", "value", "feature", "expected"),
    [
        ("age", 65, "age_from_65", 1),
        ("age", 64.9, "age_from_65", 0),
        ("failed_antidepressants", 2, "failed_antidepressants_beyond_2", 0),
        ("failed_antidepressants", 5, "failed_antidepressants_beyond_2", 3),
        ("failed_antidepressants", 20, "failed_antidepressants_beyond_2", 6),
        ("benzodiazepine_mg", 8, "benzodiazepine_from_8_mg", 1),
        ("benzodiazepine_mg", 7.5, "benzodiazepine_from_8_mg", 0),
        ("episode_months", 0, "log_episode_months", 0),
        ("episode_months", 23, "log_episode_months", np.float32(np.log(24))),
    ],
)
def test_an_evidenced_form_is_computed_as_written(make_assessment, field, value, feature, expected):
    features = list_features([field])
    row = build_matrix(read_assessments([make_assessment(**{field: value})]), features)[0]
    assert row[[column.name for column in features].index(feature)] == expected


@pytest.mark.parametrize(
    ("baseline", "early", "fall"),
    [(20, 5, 75), (20, 20, 0), (20, 30, -50), (10, 40, -100), (0, 3, None), (None, 3, None)],
)
def test_early_score_enters_with_its_fall(make_assessment, baseline, early, fall):
    features = list_features(["madrs", "madrs_day1"])
    assert [feature.name for feature in features] == ["madrs", "madrs_day1", "madrs_day1_fall"]
    person = make_assessment(madrs=baseline, madrs_day1=early)
    (row,) = build_matrix(read_assessments([person]), features)
    assert row[1] == early
    assert row[2] == pytest.approx(np.nan if fall is None else fall, nan_ok=True)


def test_early_score_without_baseline_has_no_fall():
    assert [feature.name for feature in list_features(["phq9", "madrs_day1"])] == [
        "phq9",
        "madrs_day1",
    ]


def test_texts_and_dates_are_never_features():
    fields = {feature.field for feature in list_features(BUILT_IN.fields)}
    assert not {name for name in fields if BUILT_IN.fields[name].kind in (Kind.TEXT, Kind.DATE)}
