"""The instrument registry."""

import csv

import numpy as np
import pytest

from features.dictionary.dictionary import load_dictionary
from features.records.scoring import prorate_total

BUILT_IN = load_dictionary()

RANGES = {
    "phq9": (9, 27),
    "gad7": (7, 21),
    "pcl5": (20, 80),
    "madrs": (10, 60),
    "hamd17": (17, 52),
    "qids": (16, 27),
    "bdi2": (21, 63),
    "hama": (14, 56),
    "caps5": (20, 80),
    "cesd": (20, 60),
    "pas": (13, 52),
    "bdi": (21, 63),
    "ptsdri": (17, 68),
}


@pytest.mark.parametrize(("key", "expected"), RANGES.items())
def test_instrument_has_its_published_items_and_range(key, expected):
    instrument = BUILT_IN.instruments[key]
    assert (len(instrument.item_highs), instrument.high) == expected


def test_registry_holds_exactly_these_instruments():
    assert set(BUILT_IN.instruments) == set(RANGES)


@pytest.mark.parametrize("instrument", BUILT_IN.instruments.values(), ids=BUILT_IN.instruments)
def test_bands_cover_the_whole_range_without_gaps(instrument):
    if instrument.bands:
        ends = [-1, *(high for _, _, high in instrument.band_ranges)]
        assert [low for _, low, _ in instrument.band_ranges] == [end + 1 for end in ends[:-1]]
        assert ends[-1] == instrument.high


@pytest.mark.parametrize("instrument", BUILT_IN.instruments.values(), ids=BUILT_IN.instruments)
def test_item_codes_cover_every_item(instrument):
    if instrument.loinc_items:
        assert len(set(instrument.loinc_items)) == len(instrument.item_highs)


def test_phq9_has_the_loinc_code_of_its_score():
    """Not only that of its panel."""
    phq9 = BUILT_IN.instruments["phq9"]
    assert (phq9.loinc_total, phq9.loinc_panel) == ("44261-6", "44249-1")
    assert phq9.loinc_items[0] == "44250-9"
    assert phq9.loinc_items[8] == "44260-8"


def test_a_total_falls_into_its_band():
    phq9 = BUILT_IN.instruments["phq9"]
    bands = {14: "moderate", 15: "moderately severe", 19: "moderately severe", 20: "severe"}
    assert {total: phq9.name_band(total) for total in bands} == bands
    assert phq9.model_copy(update={"bands": ()}).name_band(17) is None


def test_only_the_worst_item_of_a_domain_counts():
    units = BUILT_IN.instruments["qids"].scoring
    assert (len(units), len(BUILT_IN.instruments["phq9"].scoring)) == (9, 9)
    assert sorted(item for unit in units for item in unit) == list(range(16))


def test_remission_is_refused_where_no_total_defines_it():
    with pytest.raises(ValueError, match="CAPS-5 has no remission cut-off"):
        BUILT_IN.instruments["caps5"].is_in_remission(np.array([0.0]))


# Rows, from 1, in which the trial's own files contradict themselves.
CONTRADICTIONS = [
    ("bdi2", "bdi1_", "bdi2_baseline", [6, 22, 30, 41]),
    ("hamd17", "hamd1_", "hamd17_baseline", []),
]


@pytest.mark.parametrize(("key", "prefix", "total", "wrong"), CONTRADICTIONS)
def test_real_items_give_their_recorded_totals(trials, key, prefix, total, wrong):
    with (trials / "claus_inpatient.csv").open(encoding="utf-8") as file:
        patients = list(csv.DictReader(file))
    count = len(BUILT_IN.instruments[key].item_highs)
    items = [[float(row[f"{prefix}{n}"]) for n in range(1, count + 1)] for row in patients]
    recorded = np.array([float(row[total]) for row in patients])
    differ = prorate_total(BUILT_IN.instruments[key], np.array(items)) != recorded
    assert len(patients) == 43
    assert (np.flatnonzero(differ) + 1).tolist() == wrong
