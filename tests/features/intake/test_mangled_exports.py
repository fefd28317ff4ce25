"""Damaged exports end in a cohort without a wrong value, or in one clear sentence."""

import re
import shutil
import time
from collections import defaultdict
from random import Random

import mangling
import numpy as np
import pytest

from experiments.simulator import WORLDS, simulate, write_simulation
from experiments.simulator.exports import SHAPES, write_export
from experiments.simulator.exports.clinic import keep_records
from features.base.errors import InputError
from features.records.cohort import list_courses, read_cohort, read_intake
from features.records.mapping import read_mapping

MANGLES = (*mangling.TABLE_MANGLES, *mangling.BYTE_MANGLES)
# What no message may quote: codes and dates of patients, and what damage put in.
VALUES = re.compile(rf"SIM-|\d{{4}}-\d\d-\d\d|{mangling.CANARY}|männlich|weiblich")
SECONDS = 10
PRORATED = "pro-rated"
NOT_READ = ("mapping.toml", "redcap_dictionary.csv")


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A folder per shape, with its export, mapping and truth."""
    folder = tmp_path_factory.mktemp("exports")
    simulation = simulate(WORLDS["default"], 30, seed=5)
    for name in SHAPES:
        truth, _ = write_export(name, simulation, 5, folder / name)
        write_simulation(truth, folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def truths(exports):
    return {name: arrange(read_cohort(exports / f"{name}.parquet")) for name in SHAPES}


@pytest.fixture(scope="module")
def strays():
    """By patient: the PHQ-9 scores of visits that no horizon should read."""
    visits = keep_records(simulate(WORLDS["default"], 30, seed=5), 5).strays
    return defaultdict(set, visits.groupby("patient_id")["phq9"].agg(set))


def arrange(columns):
    """Arrange a cohort's values by patient, course and field, those that were pro-rated apart."""
    recorded = sorted(columns.list_recorded())
    return {
        course: {
            name: PRORATED if columns.find_prorated(name)[row] else columns.values[name][row]
            for name in recorded
        }
        for row, course in enumerate(list_courses(columns))
    }


def is_missing(value):
    return value is None or value != value


def is_equal(value, other):
    if isinstance(value, str) or isinstance(other, str):
        return value == other
    return bool(np.isclose(value, other, rtol=1e-12, atol=0))


def find_wrong(cohort, truth, tolerated, strays):
    """List courses that were invented or lost, and fields whose values were changed or lost.

    If a value may be missing, a total may be pro-rated, and another visit of the patient read.
    """
    wrong = [f"{course} is invented" for course in cohort.keys() - truth.keys()]
    if "courses" not in tolerated:
        wrong += [f"{course} is lost" for course in truth.keys() - cohort.keys()]
    for course in truth.keys() & cohort.keys():
        for name in truth[course].keys() | cohort[course].keys():
            value, true = (part[course].get(name) for part in (cohort, truth))
            if is_missing(value) and is_missing(true):
                continue
            likely = value == PRORATED or (name.startswith("phq9") and value in strays[course[0]])
            if "values" in tolerated and (is_missing(value) or likely):
                continue
            if is_missing(value):
                wrong.append(f"{course} {name} is lost")
            elif is_missing(true) or not is_equal(value, true):
                wrong.append(f"{course} {name} is {value}, not {true}")
    return wrong


def check_refusal(error):
    """One clear sentence per problem, that says where it is and quotes nothing."""
    message = str(error)
    assert error.problems
    assert all(problem.field and problem.message for problem in error.problems), message
    assert error.source, message
    assert not VALUES.search(message), message
    assert len(message) < 8000, message[:2000]


def pytest_generate_tests(metafunc):
    """Every way of damage once; in `make endurance` 500 damaged exports."""
    if "number" in metafunc.fixturenames:
        at_length = metafunc.config.getoption("endurance") is not None
        metafunc.parametrize("number", range(500 if at_length else len(MANGLES)))


def damage_some_export(mangle, exports, folder, chance):
    """Damage a file of the first shape, by chance, that it applies to; return the shape."""
    for shape in chance.sample([*SHAPES], len(SHAPES)):
        shutil.copytree(exports / shape, folder)
        files = [path for path in sorted(folder.iterdir()) if path.name not in NOT_READ]
        if mangling.damage_export(mangle, chance.choice(files), chance):
            return shape
        shutil.rmtree(folder)
    raise AssertionError(f"{mangle.name} damages no shape")


def test_damaged_export_adds_up_or_is_refused(
    number, exports, truths, strays, tmp_path, pytestconfig
):
    """No wrong value is read in silence, nothing is quoted, nothing hangs."""
    mangle = MANGLES[number % len(MANGLES)]
    chance = Random(f"{pytestconfig.getoption('seed')} {number}")
    folder = tmp_path / "export"
    shape = damage_some_export(mangle, exports, folder, chance)
    began = time.process_time()
    try:
        columns, account = read_intake(folder, read_mapping(folder / "mapping.toml"))
    except InputError as error:
        check_refusal(error)
    else:
        account.check()
        wrong = find_wrong(arrange(columns), truths[shape], mangle.tolerated, strays)
        assert not wrong, f"{mangle.name} of {shape}: {wrong[:5]}"
    assert time.process_time() - began < SECONDS
