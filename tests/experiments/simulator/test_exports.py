"""Raw exports hold the true cohort: their mappings alone bring it out again."""

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from experiments.simulator import WORLDS, simulate, write_simulation
from experiments.simulator.exports import SHAPES, write_export
from experiments.simulator.exports.clinic import keep_records
from features.base.errors import InputError
from features.records.cohort import digest_cohort, list_courses, read_cohort, read_intake
from features.records.mapping import read_mapping

PATIENTS, SEED = 150, 11


@pytest.fixture(scope="module")
def clinic():
    return keep_records(simulate(WORLDS["default"], PATIENTS, SEED), SEED)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A folder per shape with its export and mapping, and a file with its truth."""
    folder = tmp_path_factory.mktemp("exports")
    simulation = simulate(WORLDS["default"], PATIENTS, SEED)
    for name in SHAPES:
        truth, _ = write_export(name, simulation, SEED, folder / name)
        write_simulation(truth, folder / f"{name}.parquet")
    return folder


def bring_in(folder):
    """Read an export by its mapping, and check that its account adds up."""
    columns, account = read_intake(folder, read_mapping(folder / "mapping.toml"))
    account.check()
    return columns


def frame_values(columns):
    courses = pd.MultiIndex.from_tuples(list_courses(columns), names=["patient", "number"])
    names = sorted(columns.list_recorded())
    return pd.DataFrame({name: columns.values[name] for name in names}, courses).sort_index()


def count_outcomes(frame):
    """Count courses, known outcomes and events of phq9.acute.response, by its definition."""
    judged = frame[frame["phq9"] > 0]
    known = judged["phq9_acute"].notna()
    return len(frame), int(known.sum()), int((2 * judged["phq9_acute"] <= judged["phq9"]).sum())


@pytest.mark.parametrize("name", SHAPES)
def test_export_becomes_the_true_cohort(name, exports):
    """Every field of every course, to the digit."""
    columns, truth = bring_in(exports / name), read_cohort(exports / f"{name}.parquet")
    frame, true = frame_values(columns), frame_values(truth)
    pd.testing.assert_frame_equal(frame, true, rtol=1e-14, atol=0)
    assert digest_cohort(columns) == digest_cohort(truth)


@pytest.mark.parametrize("name", SHAPES)
def test_export_has_the_true_counts(name, exports, clinic):
    """Of courses, known outcomes and events, counted on the clinic's own records."""
    scores = clinic.courses.assign(phq9=clinic.courses["phq9_sum"])
    assert count_outcomes(frame_values(bring_in(exports / name))) == count_outcomes(scores)


@pytest.mark.parametrize("name", SHAPES)
def test_export_at_intake_has_no_followup(name, tmp_path):
    """And becomes the true cohort all the same."""
    simulation = simulate(WORLDS["default"], 30, SEED, intake=True)
    truth, _ = write_export(name, simulation, SEED, tmp_path / "export")
    write_simulation(truth, tmp_path / "truth.parquet")
    columns = bring_in(tmp_path / "export")
    assert digest_cohort(columns) == digest_cohort(read_cohort(tmp_path / "truth.parquet"))
    assert not {"phq9_acute", "madrs_day1"} & {*columns.list_recorded()}


def test_clinic_treats_some_patients_twice(clinic):
    courses = clinic.courses
    again = courses[courses["course"] == 2].set_index("patient_id")
    first = courses[courses["course"] == 1].set_index("patient_id").loc[again.index]
    assert len(again) == PATIENTS // 12
    assert (again["born"] == first["born"]).all()
    assert (again["assessed_on"] > first["first_dose"] + pd.Timedelta("100D")).all()


def test_visits_lie_within_their_horizons(clinic):
    first = clinic.courses.set_index("record")["first_dose"]
    for visits in (clinic.visits, clinic.strays):
        days = (visits["date"] - visits["record"].map(first)).dt.days
        by_visit = days.groupby(visits["visit"]).agg(["min", "max"])
        for visit, (earliest, latest) in by_visit.iterrows():
            low, high = {
                "baseline": (-6, 0), "day1": (1, 3), "acute": (30, 45), "week12": (60, 120),
                "before": (-40, -25), "early": (28, 29), "late": (46, 59),
            }[visit]  # fmt: skip
            assert low <= earliest <= latest <= high


def test_body_mass_index_follows_from_height_and_weight(clinic):
    courses = clinic.courses.dropna(subset="bmi")
    expected = courses["weight_kg"] / (courses["height_cm"] / 100) ** 2
    assert np.array_equal(courses["bmi"], expected)
    assert clinic.courses["height_cm"].isna().equals(clinic.courses["bmi"].isna())


def test_exports_say_simulated(exports):
    """Of every course, in the export itself: a reader's own mapping meets it, too."""
    for name in SHAPES:
        assert not read_mapping(exports / name / "mapping.toml").constants
        assert (bring_in(exports / name).get_numbers("simulated") == 1).all()
        assert parquet.read_schema(exports / f"{name}.parquet").metadata[b"data"] == b"SIMULATED"


def test_same_seed_writes_same_bytes(exports, tmp_path):
    """Save SPSS's, which bears the time of its making."""
    for name in SHAPES.keys() - {"spss"}:
        _, files = write_export(name, simulate(WORLDS["default"], PATIENTS, SEED), SEED, tmp_path)
        for file in files:
            assert file.read_bytes() == (exports / name / file.name).read_bytes()


def test_unknown_shape_is_refused(tmp_path):
    simulation = simulate(WORLDS["default"], 5, SEED)
    with pytest.raises(InputError, match="must be one of: redcap, "):
        write_export("epic", simulation, SEED, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="must be a folder"):
        write_export("redcap", simulation, SEED, tmp_path / "file")
