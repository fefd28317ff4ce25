"""Generated exports: every row is used or left aside by reason, and courses are the true ones."""

import random
from itertools import product

import pyarrow as pa
import pytest

from features.base.errors import CohortError
from features.dictionary.horizon import HORIZONS
from features.intake.plan import TARGETS
from features.records.cohort import collect_cohort, digest_cohort, read_intake
from features.records.mapping import Mapper, read_mapping
from features.sources.tables import wrap_table

COUNTS = (300, 3_000)  # in `make test`, in `make endurance`
SCALES = {"phq9": 27, "hamd17": 52, "pcl5": 80, "madrs": 60}
RECALL = {"phq9": 14, "hamd17": 1, "pcl5": 30, "madrs": 1}
MAPPING = """
[tables.people]
file = "people.csv"
patient = "id"
lacking = "{lacking}"
duplicates = "first"

[tables.visits]
file = "visits.csv"
patient = "id"
course = "course"
day = "day"
instrument = "scale"
score = "score"
duplicates = "{duplicates}"

[constants]
condition = "depression"
"""


def generate(chance):
    """Rows of people and of visits, with blanks, repeats, contradictions and strangers."""
    people = [(f"p{n}", chance.choice(["female", "male"])) for n in range(chance.randint(1, 4))]
    people += chance.choices(people, k=chance.randint(0, 2))
    visits = []
    for _ in range(chance.randint(1, 20)):
        scale = chance.choice([*SCALES])
        score = chance.choice(["", "NA", *map(str, range(SCALES[scale] + 1))])
        day = chance.choice(["", 0, 0, 0, -3, -20, 1, 2, 6, 9, 14, 15, 20, 26, 30, 50, 84, 300])
        patient = chance.choice([*people, ("stranger", "")])[0]
        course = chance.choice(["", "1", "1", "2"])
        visits.append((patient, course, str(day), scale, score))
    return people, visits + chance.choices(visits, k=chance.randint(0, 4))


def solve(people, visits, lacking, rule):
    """The cohort by a slow and plain reference: a dictionary per course."""
    sexes = {}
    for patient, sex in people:
        sexes.setdefault(patient, sex)
    courses = {(patient, int(course or 1)): {} for patient, course, *_ in visits}
    courses |= {(p, 1): {} for p in sexes if not any(key[0] == p for key in courses)}
    if lacking == "aside":
        courses = {key: cells for key, cells in courses.items() if key[0] in sexes}
    readings = {}
    for patient, course, day, scale, score in visits:
        key = (patient, int(course or 1))
        if score in ("", "NA") or day == "" or key not in courses:
            continue
        if slot := find_slot(scale, int(day)):
            away = abs(int(day) - TARGETS.get(slot, 0))
            readings.setdefault((key, scale, slot), []).append((away, int(day), int(score)))
    for (key, scale, slot), scored in readings.items():
        first = min((away, day) for away, day, _ in scored)
        scores = [score for *when, score in scored if tuple(when) == first]
        name = scale if slot == "baseline" else f"{scale}_{slot}"
        courses[key][name] = scores[0 if rule == "first" else -1]
    for (patient, course), cells in courses.items():
        cells |= {"patient_id": patient, "course": course, "sex": sexes.get(patient, "")}
        cells["condition"] = "depression"
    return [*courses.values()]


def find_slot(scale, day):
    if day <= 0:
        return "baseline" if day >= -14 else None
    windows = [
        (abs(day - TARGETS[key]), key)
        for key, horizon in HORIZONS.items()
        if horizon.earliest_days <= day <= horizon.latest_days
        and RECALL[scale] <= horizon.latest_days
    ]
    return min(windows, key=lambda window: window[0])[1] if windows else None


def write_rows(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows), ""]))


@pytest.mark.parametrize("count", COUNTS[:1])
def test_long_exports_become_the_true_cohort(tmp_path, count):
    """Counts add up, and the digest is that of the same cohort written wide."""
    chance, mappers = random.Random(20261128), {}
    for lacking, rule in product(["aside", "keep"], ["first", "last"]):
        (tmp_path / "mapping.toml").write_text(MAPPING.format(lacking=lacking, duplicates=rule))
        mappers[lacking, rule] = read_mapping(tmp_path / "mapping.toml")
    for number in range(count):
        people, visits = generate(chance)
        lacking, rule = chance.choice([*mappers])
        write_rows(tmp_path / "people.csv", "id,sex", people)
        write_rows(tmp_path / "visits.csv", "id,course,day,scale,score", visits)
        mapper = mappers[lacking, rule]
        courses = solve(people, visits, lacking, rule)
        names = [*dict.fromkeys(name for cells in courses for name in cells)]
        wide = {name: [str(cells.get(name, "")) for cells in courses] for name in names}
        paths = [tmp_path / "people.csv", tmp_path / "visits.csv"]
        if not courses:
            with pytest.raises(CohortError, match="every course is left aside"):
                read_intake(paths, mapper)
            continue
        columns, account = read_intake(paths, mapper, incomplete=True)
        account.check()
        rows = {entry.table: entry.rows.read for entry in account.tables}
        assert rows == {"people": len(people), "visits": len(visits)}, number
        assert account.courses.used == columns.size == len(courses), number
        true = collect_cohort(wrap_table(pa.table(wide), "wide"), Mapper(), incomplete=True)
        assert digest_cohort(columns) == digest_cohort(true), number
