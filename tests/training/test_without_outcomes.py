"""Fits before any outcome is known: their settings, estimates and champion."""

from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.base.errors import CohortError, StudyError
from features.base.home import find_home
from features.model.artifact import ARTIFACT_FOLDER
from features.model.card import PUBLISHED_NOTE, UNPUBLISHED_NOTE
from features.model.response_model import ResponseModel
from features.records.assessment import read_assessments
from training.candidates.evidence.published import BASE_RATE_SPREAD, UNKNOWN_BASE_RATE_SPREAD
from training.candidates.registry import make_candidates
from training.findings.card import count_population, write_note
from training.fit import run_study
from training.registry.registry import Registry
from training.study.courses import load_design
from training.study.study import Study, read_study

CANDIDATES = make_candidates()

OUTCOME = "phq9.acute.response"
NONE_YET = {"outcomes": "none-yet"}
DEPRESSED = {"where": {"condition": ["depression"]}}
FIELDS = ("age", "bmi", "phq9", "systolic", "expectancy", "route")


def make_study(cohort=NONE_YET, **parts):
    facts = {"name": "t", "question": "?", "outcome": OUTCOME, "seed": 3}
    facts |= {"cohort": DEPRESSED | cohort, "features": {"include": FIELDS}}
    quick = {"validation": {"folds": 3, "repeats": 1, "resamples": 100, "bootstraps": 20}}
    return Study(**(facts | quick | {"uncertainty": {"redevelopments": 400}} | parts))


ALONE = make_study(candidates=("base_rate", "elastic_net"))


@pytest.fixture
def fit(home):
    return lambda study, path: run_study(load_design(study, path), home, jobs=1)


@pytest.fixture(scope="module")
def waiting(intake, tmp_path_factory):
    """A run on assessments alone, and its registry."""
    folder = tmp_path_factory.mktemp("waiting")
    home = find_home({"KETAMINE_RESPONSE_HOME": str(folder)})
    study = make_study()
    return run_study(load_design(study, intake), home, jobs=1), Registry(home)


@pytest.fixture
def design(intake):
    return load_design(make_study(), intake)


def write(frame, path, **columns):
    frame.assign(**columns).to_parquet(path)
    return path


def test_the_refusal_names_the_setting(intake):
    with pytest.raises(CohortError, match=r'no course has both .* cohort\.outcomes = "none-yet"'):
        load_design(make_study(cohort={}), intake)


def test_the_command_line_can_set_it(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(f'name = "t"\nquestion = "?"\noutcome = "{OUTCOME}"\nseed = 1\n')
    assert not read_study(path).awaits_outcomes
    assert read_study(path, ["cohort.outcomes=none-yet"]).awaits_outcomes
    with pytest.raises(StudyError, match=r"cohort\.outcomes"):
        read_study(path, ["cohort.outcomes=never"])


def test_known_outcomes_are_never_ignored(cohort):
    with pytest.raises(CohortError, match=r"\d+ courses have the outcome; take .* away"):
        load_design(make_study(), cohort)


@pytest.mark.parametrize("followup", [0, 27])
def test_outcomes_of_one_class_are_known_outcomes(intake, tmp_path, followup):
    """Ten responders out of ten are information that a published rate would ignore."""
    path = write(pd.read_parquet(intake), tmp_path / "alike.parquet", phq9_acute=followup)
    for study, rule in ((make_study(), "outcome"), (make_study(cohort={}), "one_class")):
        with pytest.raises(CohortError, match=rf"\({rule}\)"):
            load_design(study, path)


def test_too_few_outcomes_are_refused_with_advice(fit, cohort, tmp_path):
    frame = pd.read_parquet(cohort)
    frame.loc[frame.index > 60, "phq9_acute"] = np.nan
    few = write(frame, tmp_path / "few.parquet")
    with pytest.raises(StudyError, match="the smaller class has"):
        fit(make_study(cohort={}, validation={"folds": 50}), few)


def test_courses_without_a_baseline_score_are_refused(intake, tmp_path):
    frame = pd.read_parquet(intake).drop(columns=["phq9", *(f"phq9_{n}" for n in range(1, 10))])
    path = write(frame, tmp_path / "unmeasured.parquet", madrs=30)
    with pytest.raises(CohortError, match=r"\(baseline\): no course has a baseline phq9"):
        load_design(make_study(), path)


def test_an_update_outcome_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(f'name = "t"\nquestion = "?"\noutcome = "{OUTCOME}.after-week2"\nseed = 1\n')
    with pytest.raises(StudyError, match=r"cohort\.outcomes \(update\)"):
        read_study(path, ["cohort.outcomes=none-yet"])


def test_features_and_means_are_those_of_enrolled_patients(design, intake):
    columns = load_design(make_study(), intake).courses
    assert (design.size, design.events) == (0, 0)
    assert design.enrolled.size == (columns.get_numbers("phq9") > 0).sum() > 100
    names = [feature.name for feature in design.features]
    assert {"age", "phq9", "systolic"} <= set(names)
    centre = CANDIDATES["evidence_prior"].fit(design, 1).equation.terms.centre
    for name in ("age", "phq9", "systolic"):
        values = design.enrolled.columns.get_numbers(name)
        assert centre[names.index(name)] == pytest.approx(np.nanmean(values))


def test_severity_takes_part_once_its_spread_is_known(design):
    equation = CANDIDATES["evidence_prior"].fit(design, 1).equation
    people = read_assessments(
        [{"patient_id": f"{n}", "condition": "depression", "phq9": n} for n in (8, 24)]
    )
    mild, severe = equation.compute_log_odds(people)[:, 0]
    assert mild > severe


def test_base_rate_is_published_for_planned_routes(intake, tmp_path):
    """Intranasal on the first day: 18% in the evidence table, 45% by other routes."""
    for route, share in (("intranasal", 0.18), ("iv", 0.45)):
        path = write(pd.read_parquet(intake), tmp_path / f"{route}.parquet", route=route)
        study = make_study(outcome="madrs.day1.response")
        design = load_design(study, path)
        fit = CANDIDATES["base_rate"].fit(design, 1)
        log_odds = fit.equation.compute_log_odds(design.enrolled.columns)[:, 0]
        assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(share)
        drawn = fit.posterior.draw(4000, np.random.default_rng(1)).terms.intercept
        assert drawn.mean() == pytest.approx(np.log(share / (1 - share)), abs=0.05)
        assert drawn.std() == pytest.approx(BASE_RATE_SPREAD, rel=0.05)


def test_report_and_summary_have_no_measures(waiting):
    report, plain = waiting[0].report, waiting[0].as_dict()
    assert (plain["courses"], plain["events"], plain["chosen"]) == (0, 0, "evidence_prior")
    assert set(plain["candidates"]) == {"evidence_prior", "base_rate"}
    for measures in plain["candidates"].values():
        intervals = measures.pop("intervals")
        assert set(measures.values()) == {None}
        assert all(ends == [None, None] for ends in intervals.values())
    assert not plain["beats_base_rate"]
    assert plain["verdict"].startswith("No outcome is known yet")
    assert plain["attrition"]["missing"] == plain["attrition"]["courses"] > 0
    assert plain["attrition"]["scenarios"] == ()
    assert "Not compared" in report
    assert "courses, none with a known outcome yet" in report
    assert "| Candidate" not in report
    assert "## Missing outcomes" not in report


def test_the_card_states_that_no_outcome_was_known(waiting):
    card = waiting[0].card
    people = card.population
    assert (people.courses, people.events, people.patients, people.sites) == (0, 0, 0, 0)
    assert people.base_rate == people.published_rate
    assert 0.3 < people.base_rate < 0.6
    assert card.validation == "none: no outcome is known yet"
    assert PUBLISHED_NOTE in card.note
    assert card.interval.method.endswith("draws from published evidence")
    assert {"condition", "age", "phq9"} <= {studied.field for studied in card.ranges}


def test_published_base_rate_is_champion_evidence_challenger(waiting):
    assert waiting[0].alias == "challenger"
    assert waiting[0].card.candidate == "evidence_prior"
    champion = waiting[0].champion.model
    assert champion.card.candidate == "base_rate"
    people = read_assessments(
        [{"patient_id": f"{n}", "condition": "depression", "phq9": n} for n in (8, 24)]
    )
    predictions = champion.predict(people)
    rate = champion.card.population.base_rate
    assert predictions.probability == pytest.approx(rate)
    # 80% of a normal distribution lies within 1.28 standard deviations of its mean.
    reach = 1.2816 * BASE_RATE_SPREAD
    ends = [1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + sign * reach))) for sign in (-1, 1)]
    assert [predictions.low[0], predictions.high[0]] == pytest.approx(ends, abs=0.04)
    assert (predictions.effective_sample_size < 10).all()


def test_the_evidence_gives_individual_wide_intervals(waiting):
    summary, registry = waiting
    source = registry.client.get_model_version(OUTCOME, summary.version).source
    folder = Path(mlflow.artifacts.download_artifacts(source)) / ARTIFACT_FOLDER
    model = ResponseModel.load(folder)
    people = [{"patient_id": f"{n}", "condition": "depression", "phq9": n} for n in (8, 24)]
    predictions = model.predict(read_assessments(people))
    assert predictions.probability[0] > predictions.probability[1]
    assert (predictions.high - predictions.low > 0.35).all()
    assert (predictions.effective_sample_size < 10).all()


def test_only_the_figure_of_contributions_is_drawn(waiting):
    summary, registry = waiting
    files = registry.client.list_artifacts(summary.run_id, "figures")
    assert {file.path for file in files} == {"figures/contributions.png"}


def test_published_base_rate_yields_to_more_patients(fit, intake, tmp_path):
    """Otherwise patients outside the first ones' ranges would get no estimate for months."""
    first, again = (fit(ALONE, intake) for _ in range(2))
    assert first.comparison.chosen == "base_rate"
    assert (first.alias, first.champion.version) == ("champion", "1")
    assert again.champion.version == first.version
    more = write(pd.read_parquet(intake), tmp_path / "more.parquet", age=85)
    assert fit(ALONE, more).alias == "champion"


def test_an_evidence_model_made_champion_stays(fit, home, intake, tmp_path):
    first = fit(make_study(), intake)
    history = Registry(home).open_history(OUTCOME)
    history.change(first.version, "override", "ada", "we trust the evidence")
    more = write(pd.read_parquet(intake), tmp_path / "more.parquet", age=85)
    assert fit(ALONE, more).champion.version == first.version


def test_known_outcomes_replace_the_published_base_rate(fit, cohort, intake):
    """Their base rate stays champion if outcomes are missing again."""
    fit(ALONE, intake)
    learned = fit(make_study(cohort={}, candidates=("base_rate",)), cohort)
    assert learned.champion.version == learned.version
    assert learned.card.population.published_rate is None
    later = fit(ALONE, intake)
    assert later.champion.version == learned.version
    assert later.alias == "challenger"


def test_an_unknown_condition_gives_a_wide_prior(intake):
    """Without a published rate, the card must not present the assumption as one."""
    design = load_design(ALONE, intake)
    facts = {"measures": "pain", "condition": None}
    pain = design.target.instrument.model_copy(update=facts)
    design = replace(design, target=replace(design.target, instrument=pain))
    people = count_population(design)
    assert (people.base_rate, people.published_rate) == (0.5, None)
    assert UNPUBLISHED_NOTE in write_note(design)
    drawn = CANDIDATES["base_rate"].fit(design, 1).posterior.draw(4000, np.random.default_rng(1))
    assert drawn.terms.intercept.std() == pytest.approx(UNKNOWN_BASE_RATE_SPREAD, rel=0.05)


def test_weights_need_known_outcomes(fit, intake):
    study = make_study(candidates=("base_rate",), attrition={"weights": True})
    assert fit(study, intake).findings.attrition.effective is None
