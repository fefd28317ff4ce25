"""Designs: the courses and features that a study trains on."""

import numpy as np
import pandas as pd
import pytest

from features.base.errors import CohortError, StudyError
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import OFFERED_GROUPS
from features.model.matrix import build_matrix
from features.records.cohort import read_cohort
from training.study.courses import filter_courses, load_cohort, load_design, prepare_design
from training.study.study import Study

BUILT_IN = load_dictionary()

FIELDS_BEFORE = {name for name, field in BUILT_IN.fields.items() if field.group in OFFERED_GROUPS}


def make_study(**parts):
    facts = {"name": "t", "question": "?", "outcome": "phq9.acute.response", "seed": 3}
    return Study(**(facts | parts))


@pytest.fixture
def columns(cohort):
    return read_cohort(cohort)


def test_only_known_outcomes_are_trained_on(columns):
    design = prepare_design(make_study(), columns)
    baseline, followup = columns.get_numbers("phq9"), columns.get_numbers("phq9_acute")
    known = ~np.isnan(baseline) & ~np.isnan(followup) & (baseline > 0)
    assert design.size == known.sum()
    assert design.events == (2 * followup[known] <= baseline[known]).sum()


def test_courses_can_be_chosen_by_category_and_site(columns):
    study = make_study(cohort={"where": {"condition": ["ptsd"], "site": ["site-02", "site-03"]}})
    kept = filter_courses(study, columns)
    assert 0 < kept.size < columns.size
    assert set(kept.get_texts("site")) <= {"site-02", "site-03"}
    assert set(kept.get_numbers("condition")) == {2.0}


def test_a_filter_that_leaves_nobody_is_refused(columns):
    with pytest.raises(StudyError, match="leaves no course"):
        filter_courses(make_study(cohort={"where": {"site": ["nowhere"]}}), columns)


def test_unrecorded_and_constant_features_are_dropped(columns):
    design = prepare_design(make_study(), columns)
    fields = {feature.field for feature in design.features}
    assert "bdi2" not in fields
    assert "prior_response_ketamine" not in fields
    assert "sex=other" not in {feature.name for feature in design.features}


def test_nothing_known_later_is_ever_a_feature(columns):
    design = prepare_design(make_study(), columns)
    assert not {f.field for f in design.features} & {"phq9_acute", "madrs_day1", "phq9_week12"}
    assert design.site_names == ()


UPDATE = "phq9.week12.response.after-acute"


@pytest.fixture
def load(tmp_path):
    """Load the design of a study from a frame."""

    def load(study, frame):
        frame.to_parquet(tmp_path / "cohort.parquet")
        return load_design(study, tmp_path / "cohort.parquet")

    return load


def test_update_uses_early_scores_where_recorded(load, cohort):
    frame = pd.read_parquet(cohort)
    frame.loc[frame.index % 3 == 0, "phq9_acute"] = np.nan
    study = make_study(outcome=UPDATE)
    design = load(study, frame)
    names = [feature.name for feature in design.features]
    assert {"phq9_acute", "phq9_acute_fall", "madrs_day1", "madrs_acute"} <= set(names)
    assert not [name for name in names if "week12" in name]
    baseline = make_study(outcome="phq9.week12.response")
    assert design.size == prepare_design(baseline, design.courses).size
    assert np.isnan(design.matrix[:, names.index("phq9_acute")]).any()


def test_baseline_study_uses_no_early_score(load, cohort):
    study = make_study(outcome="phq9.week12.response")
    design = load(study, pd.read_parquet(cohort))
    assert not [feature for feature in design.features if feature.field not in FIELDS_BEFORE]


def test_update_without_early_scores_is_refused(load, cohort):
    frame = pd.read_parquet(cohort)
    early = [name for name in frame if name.endswith(("_acute", "_day1"))]
    with pytest.raises(CohortError, match=r"\(early_score\): no course with the outcome"):
        load(make_study(outcome=UPDATE), frame.drop(columns=early))


def test_early_score_equal_to_the_outcome_is_refused(load, cohort):
    frame = pd.read_parquet(cohort)
    frame["phq9_week2"] = frame["phq9_acute"].where(frame.index % 5 > 0)
    study = make_study(outcome="phq9.acute.response.after-week2")
    with pytest.raises(CohortError, match=r"phq9_week2 \(same_reading\): is phq9_acute in every"):
        load(study, frame)
    frame["phq9_week2"] = frame["phq9_week2"].replace(9, 10)
    assert load(study, frame).courses.size == len(frame)


def test_an_outcome_that_nobody_has_is_refused(columns):
    with pytest.raises(CohortError, match=r"\(outcome\): no course has both qids and qids_acute"):
        prepare_design(make_study(outcome="qids.acute.response"), columns)


@pytest.mark.parametrize(("followup", "word"), [(0, "every"), (27, "no")])
def test_an_outcome_of_one_class_is_refused(cohort, tmp_path, followup, word):
    frame = pd.read_parquet(cohort)
    frame["phq9_acute"] = followup
    frame.to_parquet(tmp_path / "alike.parquet")
    with pytest.raises(CohortError, match=rf"\(one_class\): {word} course has the outcome"):
        prepare_design(make_study(), read_cohort(tmp_path / "alike.parquet"))


def test_study_without_a_cohort_is_refused():
    with pytest.raises(StudyError, match="--cohort"):
        load_cohort(make_study())


def test_a_reader_that_does_not_exist_is_refused():
    with pytest.raises(StudyError, match="module:function"):
        load_cohort(make_study(cohort={"reader": "nowhere:nothing"}))


def test_calendar_time_ends_with_the_last_month(columns):
    design = prepare_design(make_study(features={"include": ["phq9", "assessed_on"]}), columns)
    (trend,) = (feature for feature in design.features if feature.field == "assessed_on")
    years = design.matrix[:, design.features.index(trend)]
    assert -20 < years.min() < years.max() <= 0
    late = design.columns.replace({"assessed_on": np.full(design.size, trend.parameter + 900.0)})
    assert (build_matrix(late, [trend]) == 0).all()


def test_calendar_time_is_left_out_by_default(columns):
    names = {feature.name for feature in prepare_design(make_study(), columns).features}
    assert "trend" not in names


def test_each_course_keeps_its_improvement(columns):
    design = prepare_design(make_study(), columns)
    baseline = design.columns.get_numbers("phq9")
    fall = (baseline - design.columns.get_numbers("phq9_acute")) / baseline
    assert design.improvement == pytest.approx(fall)
    assert ((design.improvement >= 0.5) == (design.outcome == 1)).all()
    assert design.select(np.array([3, 1, 3])).improvement == pytest.approx(fall[[3, 1, 3]])
