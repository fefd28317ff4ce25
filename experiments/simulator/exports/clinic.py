"""What a clinic's own records hold of a simulated cohort: patients, courses, doses and visits.

Exports of any shape are renderings of one :class:`Clinic`, so all of them become the same cohort.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from experiments.simulator.cohort import Simulation
from experiments.simulator.items import make_items
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from features.records.scoring import prorate_total

_BUILT_IN = load_dictionary()
# Filled in item by item at follow-up, and at baseline at half of the sites.
FORMS = ("phq9", "gad7")
TOTALS = (*FORMS, "pcl5", "madrs")
ITEMS = tuple(name for key in FORMS for name in _BUILT_IN.instruments[key].item_fields)
# Boxes of one form: it is filled in as a whole or not at all.
HISTORY = ("bipolar", "chronic_pain", "ptsd_comorbid", "personality_disorder", "suicide_attempt")
BACKGROUND = ("failed_antidepressants", "episode_months", "benzodiazepine_mg", *HISTORY)
# Every export says of each course, in its own words, that it is simulated.
FLAGS = (*HISTORY, "simulated")
PERSON = ("patient_id", "site", "condition", "age", "sex", "bmi", *BACKGROUND)
REGIMEN = ("agent", "route", "dose_mg_kg", "dose_mg", "sessions", "weeks")
FOLLOWUPS = ("phq9_acute", "phq9_week12", "gad7_acute", "gad7_week12", "madrs_day1", "madrs_acute")
FIELDS = (*PERSON, "course", "assessed_on", "simulated", *TOTALS, *REGIMEN, *ITEMS, *FOLLOWUPS)
_KEYS = ("record", "patient_id", "course")
# First and last day of a visit, counted from the first dose; each within its horizon.
_DAYS = {"day1": (1, 2), "acute": (30, 44), "week12": (75, 95)}
# Three weeks and more before the assessment; at the beginning of the acute window, if the visit at
# its end took place; between two windows.
_STRAY_DAYS = {"before": (-40, -25), "early": (28, 29), "late": (48, 55)}
_COURSES_APART = (200, 330)  # days
_STRAY_SHARE = 0.2
_SECOND_COURSES = 12  # one row in so many is its neighbour's second course


@dataclass(frozen=True)
class Clinic:
    """A clinic's records, SIMULATED."""

    # One row per course, numbered by `record`: fields of the cohort at baseline, and what some are
    # derived from (`born`, `height_cm`, `weight_kg`, `first_dose`).
    courses: Any
    # One row per dose: record, patient_id, course, regimen, number, date.
    doses: Any
    # One row per visit, baseline included: record, patient_id, course, visit, date, items, totals,
    # and each form's total whether noted or not, as `phq9_sum`.
    visits: Any
    # Likewise, PHQ-9 alone: visits before intake, early and late, which no horizon should read.
    strays: Any


def keep_records(simulation: Simulation, seed: int) -> Clinic:
    """Draw dates, measurements and forms that are consistent with a simulated cohort.

    Parameters
    ----------
    seed
        Of what the cohort leaves open: days within a horizon, heights, answers at follow-up.
    """
    generator = np.random.default_rng([seed, len(FIELDS)])
    cohort = simulation.cohort.to_pandas()
    # At intake there is no follow-up yet: its columns are blank.
    cohort = cohort.reindex(columns=list(dict.fromkeys([*cohort, *FOLLOWUPS])))
    courses = _repeat_patients(cohort, generator)
    courses = _schedule_courses(_complete_forms(courses), generator)
    courses = _fill_history(_measure_bodies(courses, generator))
    visits = _list_visits(courses, generator)
    strays = _list_strays(courses, generator)
    return Clinic(courses, _list_infusions(courses), visits, strays)


def _repeat_patients(cohort: Any, generator: np.random.Generator) -> Any:
    # The same person, months later, with scores and a regimen of their own.
    second = np.arange(len(cohort)) % _SECOND_COURSES == _SECOND_COURSES - 1
    same = {name: cohort[name].where(~second, cohort[name].shift()) for name in PERSON}
    dates = pd.to_datetime(cohort["assessed_on"])
    later = pd.to_timedelta(generator.integers(*_COURSES_APART, len(cohort)), unit="D")
    return cohort.assign(
        **same,
        record=np.arange(1, len(cohort) + 1),
        course=np.where(second, 2, 1),
        assessed_on=dates.where(~second, dates.shift() + later),
        pcl5=_get_total(cohort, "pcl5"),
    )


def _complete_forms(courses: Any) -> Any:
    # A form with more blanks than its total allows for is handed back to the patient.
    for key in FORMS:
        items = courses[list(_BUILT_IN.instruments[key].item_fields)]
        short = _get_total(courses, key).isna() & items.notna().any(axis=1)
        courses = courses.assign(**items.mask(short, items.fillna(0)))
    return courses.assign(**{f"{key}_sum": _get_total(courses, key) for key in FORMS})


def _get_total(scores: Any, key: str) -> Any:
    instrument, total = _BUILT_IN.instruments[key], scores[key]
    items = scores[list(instrument.item_fields)].to_numpy(float)
    return total.where(total.notna(), prorate_total(instrument, items))


def _schedule_courses(courses: Any, generator: np.random.Generator) -> Any:
    assessed, patient = courses["assessed_on"], courses["patient_id"]
    # Birthdays come earlier in the year than assessments: years alone then give the age, too.
    latest = assessed.dt.day_of_year.groupby(patient).transform("min") - 1
    days = pd.to_timedelta((generator.random(len(courses)) * latest).astype(int), unit="D")
    year = assessed.dt.year - courses["age"].astype(int)
    born = (pd.to_datetime(year.astype(str) + "-01-01") + days).groupby(patient).transform("first")
    waited = pd.to_timedelta(generator.integers(0, 7, len(courses)), unit="D")
    age = (assessed.dt.year - born.dt.year).astype(float)
    return courses.assign(born=born, age=age, first_dose=assessed + waited)


def _measure_bodies(courses: Any, generator: np.random.Generator) -> Any:
    drawn = np.round(generator.normal(170, 9, len(courses))).clip(145, 205)
    patients = courses.assign(height_cm=drawn).groupby("patient_id")
    height = patients["height_cm"].transform("first").where(courses["bmi"].notna())
    weight = (courses["bmi"] * (height / 100) ** 2).round(1)
    return courses.assign(height_cm=height, weight_kg=weight, bmi=weight / (height / 100) ** 2)


def _fill_history(courses: Any) -> Any:
    filled = courses[HISTORY[0]].notna()
    boxes = courses[list(HISTORY)]
    return courses.assign(**boxes.where(boxes.notna(), False).where(filled))


def _list_infusions(courses: Any) -> Any:
    # Spread evenly over the planned weeks.
    doses = courses.loc[courses.index.repeat(courses["sessions"])]
    number = doses.groupby(level=0).cumcount()
    apart = (7 * doses["weeks"] / doses["sessions"]).astype(int)
    date = doses["first_dose"] + pd.to_timedelta(number * apart, unit="D")
    kept = doses[[*_KEYS, *REGIMEN]]
    return kept.assign(number=number + 1, date=date).reset_index(drop=True)


def _list_visits(courses: Any, generator: np.random.Generator) -> Any:
    keys = courses[list(_KEYS)]
    scores = courses[[*TOTALS, *(f"{key}_sum" for key in FORMS), *ITEMS]]
    visits = [keys.assign(visit="baseline", date=courses["assessed_on"], **scores)]
    for visit, (earliest, latest) in _DAYS.items():
        days = generator.integers(earliest, latest + 1, len(courses))
        date = courses["first_dose"] + pd.to_timedelta(days, unit="D")
        scores = _answer_forms(courses, visit, generator)
        kept = scores.notna().any(axis=1)
        visits.append(keys.assign(visit=visit, date=date, **scores)[kept])
    return pd.concat(visits).sort_values(["record", "date"], kind="stable", ignore_index=True)


def _list_strays(courses: Any, generator: np.random.Generator) -> Any:
    parts = []
    for visit, (earliest, latest) in _STRAY_DAYS.items():
        days = generator.integers(earliest, latest + 1, len(courses))
        date = courses["first_dose"] + pd.to_timedelta(days, unit="D")
        score = generator.integers(0, 28, len(courses)).astype(float)
        part = courses[list(_KEYS)].assign(visit=visit, date=date, phq9=score, phq9_sum=score)
        parts.append(part[generator.random(len(courses)) < _STRAY_SHARE])
    strays = pd.concat(parts)
    seen = courses.loc[courses["phq9_acute"].notna(), "record"]
    return strays[(strays["visit"] != "early") | strays["record"].isin(seen)]


def _answer_forms(courses: Any, visit: str, generator: np.random.Generator) -> Any:
    names = [name for name in FOLLOWUPS if name.endswith(f"_{visit}")]
    scores = courses[names].rename(columns=lambda name: name.partition("_")[0])
    for key in scores.columns.intersection(FORMS):
        instrument, absent = _BUILT_IN.instruments[key], scores[key].isna()
        items = make_items(instrument, scores[key].fillna(0).to_numpy(), generator)
        items[absent] = np.nan
        answers = dict(zip(instrument.item_fields, items.T, strict=True))
        scores = scores.assign(**{f"{key}_sum": scores[key]}, **answers)
    return scores


def make_truth(clinic: Clinic, items: bool = True) -> Any:
    """Make the cohort that an export of these records becomes, as an Arrow table.

    Parameters
    ----------
    items
        Whether the export has the items of forms, and not only their totals.
    """
    courses, names = clinic.courses, [name for name in FIELDS if items or name not in ITEMS]
    if not items:
        courses = courses.assign(**{key: courses[f"{key}_sum"] for key in FORMS})
    types = {Kind.NUMBER: pa.float64(), Kind.INTEGER: pa.float64(), Kind.DATE: pa.date32()}
    kinds = {name: _BUILT_IN.cohort_fields[name].kind for name in names}
    columns = {name: pa.array(courses[name], types.get(kinds[name])) for name in names}
    return pa.table(columns).replace_schema_metadata({"data": "SIMULATED"})
