"""Dictionaries with a user's own instruments: what they add, and what is refused."""

import pytest

from features.base.errors import DictionaryError
from features.dictionary.dictionary import combine_dictionaries, load_dictionary
from features.dictionary.outcome import parse_outcome
from features.model.matrix import list_features
from features.records.assessment import parse_rows, read_assessments

BUILT_IN = load_dictionary()
PAIN = """
[bpi]
name = "BPI severity"
measures = "pain"
item_highs = [10, 10, 10, 10]
recall_days = 1
response_percent = 30
source = "made up"
"""


def test_an_added_scale_has_all_its_fields(load):
    known = load(PAIN)
    added = set(known.cohort_fields) - set(BUILT_IN.cohort_fields)
    items = {f"bpi_{number}" for number in range(1, 5)}
    horizons = ("day1", "week1", "week2", "acute", "week12", "month6")
    assert added == {"bpi", *items, *(f"bpi_{horizon}" for horizon in horizons)}
    assert known.fields["bpi"].allowed == "a whole number from 0 to 40 points"
    assert known.fields["bpi"].help == "Self-rated pain, last 1 days"
    assert "bpi" not in BUILT_IN.fields


def test_built_in_fields_keep_their_order(load):
    assert [name for name in load(PAIN).fields if "bpi" not in name] == list(BUILT_IN.fields)


def test_the_same_scales_make_the_same_dictionary(load):
    """So that tables derived from a dictionary are cached, however often it is read."""
    assert load(PAIN) is load(PAIN, "again.toml")
    assert load_dictionary() is BUILT_IN


def test_an_added_scale_makes_outcomes_and_features(load):
    known = load(PAIN)
    outcome = parse_outcome("bpi.acute.response.after-week1", known)
    assert outcome.definition.startswith("BPI severity down by at least 30")
    assert "bpi_day1" in outcome.early_scores
    names = [feature.name for feature in list_features(["bpi", "bpi_day1"], known)]
    assert names == ["bpi", "bpi_day1", "bpi_day1_fall"]


def test_assessments_are_read_with_their_dictionary(load):
    row = {"patient_id": "a", "condition": "depression", "bpi_1": 3, "bpi_2": 4}
    columns = read_assessments([row | {"bpi_3": 5, "bpi_4": 6}], load(PAIN))
    assert columns.get_numbers("bpi").tolist() == [18]
    assert [problem.rule for problem in parse_rows([row])[1]] == ["unknown"] * 2 + ["required"]
    _, problems = parse_rows([row | {"phq9": 9, "bpi_1": 11}], dictionary=load(PAIN))
    assert [str(problem.field) for problem in problems] == ["bpi_1"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("[bpi]", "[phq9]"), ("phq9", "duplicate")),
        (("[bpi]", "[age]"), ("age", "duplicate")),
        (("[bpi]", "[bpi_1]"), ("bpi_1.key", "name")),
        (("[bpi]", "[bpi_acute]"), ("bpi_acute.key", "name")),
        (("[bpi]", "[BPI]"), ("BPI.key", "name")),
        (("recall_days = 1", "recall_days = 0"), ("bpi.recall_days", "greater_than_equal")),
        (('"pain"', '"pain"\ncondition = "pain"'), ("bpi.condition", "category")),
        (('"made up"', '"made up"\ncolour = "red"'), ("bpi.colour", "extra_forbidden")),
        (("item_highs = [10, 10, 10, 10]", "item_highs = []"), ("bpi.item_highs", "too_short")),
        (("[10, 10,", "[0, 10,"), ("bpi.item_highs.0", "greater_than_equal")),
        (("response_percent = 30", "response_percent = 0"), (
            "bpi.response_percent", "greater_than_equal")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(list_rules, change, problem):
    assert list_rules(PAIN.replace(*change)) == {problem}


@pytest.mark.parametrize(
    "part",
    [
        "domains = [[1, 5]]",
        "domains = [[1, 2], [2, 3]]",
        'item_names = ["pain_1", "pain_2", "pain_3"]',
        'item_names = ["pain_1", "pain_2", "pain_3", "pain_3"]',
        'bands = [{ low = 1, label = "some" }]',
        'bands = [{ low = 0, label = "none" }, { low = 0, label = "some" }]',
        'bands = [{ low = 0, label = "none" }, { low = 9, label = "none" }]',
        'bands = [{ low = 0, label = "none" }, { low = 41, label = "some" }]',
        "shortest_recall_days = 2",
        "remission_at_most = 40",
        "missing_items_allowed = 4",
        "missing_items_allowed = 1\ndomains = [[1, 2]]",
        'loinc_items = ["1-8"]',
    ],
)
def test_parts_that_contradict_each_other_are_refused(list_rules, part):
    assert list_rules(PAIN + part) == {("bpi", "value_error")}


@pytest.mark.parametrize(
    "part",
    [
        "domains = [[1, 4]]",
        'bands = [{ low = 0, label = "none" }, { low = 40, label = "all" }]',
        "shortest_recall_days = 1",
        "remission_at_most = 39",
        "missing_items_allowed = 3",
        'loinc_items = ["1-8", "2-6", "3-4", "4-2"]',
    ],
)
def test_parts_at_their_limits_are_accepted(load, part):
    assert "bpi" in load(PAIN + part).instruments


def test_missing_or_invalid_file_is_refused(tmp_path, list_rules):
    assert list_rules("[bpi") == {("file", "toml")}
    assert list_rules('bpi = "pain"') >= {("bpi.name", "missing")}
    with pytest.raises(DictionaryError, match="must be a dictionary file"):
        load_dictionary(tmp_path / "absent.toml")


def test_every_problem_is_listed_at_once(list_rules):
    other = PAIN.replace("[bpi]", "[vas]").replace("recall_days = 1", "recall_days = 0")
    rules = list_rules(PAIN.replace("recall_days = 1", "") + other)
    assert rules == {("bpi.recall_days", "missing"), ("vas.recall_days", "greater_than_equal")}


def test_dictionaries_are_combined_unless_they_disagree(load):
    bpi, vas = load(PAIN), load(PAIN.replace("[bpi]", "[vas]"), "vas.toml")
    both = combine_dictionaries([BUILT_IN, bpi, vas, bpi])
    assert {"bpi", "vas"} <= set(both.instruments)
    assert combine_dictionaries([BUILT_IN, BUILT_IN]) is BUILT_IN
    other = load(PAIN.replace("response_percent = 30", "response_percent = 50"), "other.toml")
    with pytest.raises(DictionaryError, match="choose another key"):
        combine_dictionaries([bpi, other])


def test_scale_built_in_since_adds_nothing(load):
    facts = "\n".join(
        f"{name} = {value!r}".replace("'", '"')
        for name, value in (
            *(("name", "PAS"), ("measures", "anxiety"), ("condition", "anxiety")),
            *(("item_highs", [4] * 13), ("recall_days", 7), ("remission_at_most", 8)),
        )
    )
    pas = BUILT_IN.instruments["pas"]
    bands = ", ".join(f'{{ low = {band.low}, label = "{band.label}" }}' for band in pas.bands)
    text = f'[pas]\n{facts}\nbands = [{bands}]\nsource = "{pas.source}"'
    assert load(text).instruments == BUILT_IN.instruments
