"""Validation of known models on simulated cohorts recovers the shift and slope put in."""

import numpy as np
import pytest

from features.base.errors import CohortError
from features.model.card import StudiedRange
from features.records.cohort import digest_cohort
from training.report.page import render_report
from training.study.parts import GatePart
from training.validation.external.external import validate_on_cohort
from training.validation.external.findings import describe_external
from training.validation.external.recalibrated import make_recalibrated
from training.validation.judgement import judge_findings

GATE = GatePart()


@pytest.fixture(scope="module")
def find():
    """Findings of a model on a cohort."""

    def find_on(model, cohort):
        return judge_findings(describe_external(validate_on_cohort(model, "3", cohort, GATE)))

    return find_on


def get_external(findings):
    return findings.find_performance("external").measures


def test_a_shift_and_a_stretch_are_given_back(find, known_model, draw, read):
    findings = find(known_model(), read(draw(4000, intercept=0.5, slope=0.6)))
    proposed = findings.recalibration
    assert proposed.kind == "both"
    assert proposed.intercept == pytest.approx(0.5, abs=0.12)
    assert proposed.slope == pytest.approx(0.6, abs=0.12)
    measures = get_external(findings)
    assert measures["slope"].low < 0.6 < measures["slope"].high
    assert measures["ratio"].low > 1
    assert "log-odds times 0." in findings.verdict


def test_a_calibrated_model_is_not_recalibrated(find, known_model, draw, read):
    findings = find(known_model(), read(draw(1500, seed=4)))
    assert findings.recalibration is None
    assert "No recalibration is proposed" in findings.verdict
    measures = get_external(findings)
    assert measures["ratio"].low < 1 < measures["ratio"].high
    assert measures["slope"].low < 1 < measures["slope"].high
    assert findings.passed
    assert not findings.alarms


def test_the_findings_hold_all_that_a_report_shows(find, known_model, draw, read):
    findings = find(known_model(), read(draw(900)))
    assert findings.purpose == "external"
    assert findings.version == "3"
    assert (findings.courses, findings.patients) == (900, 900)
    assert findings.calibration.points
    assert len(findings.calibration.versions) == 8
    assert findings.decision.points
    assert findings.instability.versions == 8
    assert {row.grouping for row in findings.subgroups} == {"sex", "age", "site", "severity"}
    assert [site.name for site in findings.across_sites.sites] == ["south", "west"]
    assert findings.factors[0].field == "phq9"
    assert findings.recorded["phq9"] == 1
    assert findings.base_rate == pytest.approx(findings.events / 900)
    assert {item.number for item in findings.checklist}
    assert any("nothing was refitted here" in limitation for limitation in findings.limitations)
    assert "External cohort" in render_report(findings)


def test_ineligible_courses_are_excluded_and_counted(find, known_model, draw, read):
    rows = draw(600)
    rows[0]["age"] = rows[1]["age"] = 90
    rows[2]["condition"] = "ptsd"
    rows[3]["aneurysm_or_avm"] = "true"
    rows[4]["phq9_acute"] = rows[5]["phq9_acute"] = rows[6]["phq9_acute"] = ""
    rows[7]["phq9"], rows[7]["madrs"] = "", 30
    findings = find(known_model(), read(rows))
    assert findings.courses == 600 - 8
    for exclusion in (
        "592 courses of 592 patients, of 600 in the cohort",
        "2 outside the studied ranges",
        "1 of a condition that was not studied",
        "1 that an eligibility rule refuses",
        "3 without a known outcome",
        "1 without a baseline PHQ-9",
    ):
        assert exclusion in findings.cohort
    assert (findings.attrition.courses, findings.attrition.missing) == (595, 3)
    flow = findings.flow
    assert {row.key: row.courses for row in flow.excluded} == {
        "condition": 1,
        "eligibility": 1,
        "baseline": 1,
        "outside": 2,
        "awaiting": 3,
    }
    assert (flow.read, flow.analysed, flow.events) == (600, 592, findings.events)
    assert "Excluded: Outside the studied ranges" in render_report(findings)
    assert findings.attrition.scenarios[0].odds_ratio == 1


def test_no_patient_is_named(find, known_model, draw, read):
    findings = find(known_model(), read(draw(300, first="secret")))
    assert "secret" not in findings.model_dump_json()
    assert "secret" not in render_report(findings)


def test_a_new_site_alone_is_one_group(find, known_model, draw, read):
    findings = find(known_model(), read(draw(500, sites=("north",))))
    assert findings.across_sites is None
    assert get_external(findings)["auc"].value > 0.55


def test_courses_at_unknown_sites_are_in_no_site(find, known_model, draw, read):
    rows = draw(900, sites=("south", "west", "nowhere"))
    rows = [row | {"site": row["site"].replace("nowhere", "")} for row in rows]
    findings = find(known_model(), read(rows))
    assert [(site.name, site.courses) for site in findings.across_sites.sites] == [
        ("south", 300),
        ("west", 300),
    ]


def test_a_base_rate_is_tested_for_its_level(find, known_model, flat_equation, draw, read):
    model = known_model(flat_equation(level=-1.0), candidate="base_rate")
    findings = find(model, read(draw(800)))
    measures = get_external(findings)
    assert measures["slope"].value is None
    assert measures["ratio"].value == pytest.approx(findings.events / (800 / (1 + np.e)), rel=1e-9)
    assert findings.recalibration.kind == "intercept"
    rate = findings.events / 800
    truth = np.log(rate / (1 - rate)) + 1.0
    assert findings.recalibration.intercept == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize("responder", [3, 20, 41])
def test_one_event_of_60_leaves_the_slope_unknown(find, known_model, draw, read, responder):
    """Which interval excludes 1 must agree with the test that proposes a recalibration."""
    rows = [row | {"phq9_acute": row["phq9"]} for row in draw(60)]
    rows[responder]["phq9_acute"] = 0
    findings = find(known_model(), read(rows))
    slope = get_external(findings)["slope"]
    assert findings.events == 1
    if slope.value is not None:
        assert slope.low < 1 < slope.high
    assert findings.recalibration is None or findings.recalibration.kind == "intercept"


def test_the_cohort_of_the_development_raises_an_alarm(find, known_model, draw, read):
    rows = draw(400, intercept=0.8)
    cohort = read(rows)
    findings = find(known_model(data_digest=digest_cohort(cohort)), cohort)
    assert "apparent performance, not validation" in findings.alarms[0]
    assert findings.find_performance("external") is None
    assert findings.find_performance("apparent") is not None
    assert findings.recalibration is None
    assert not findings.passed, "the gate takes no apparent performance for a validation"


def test_a_study_of_one_condition_is_recognised(find, known_model, draw, read):
    rows = draw(400)
    digest = digest_cohort(read(rows))
    more = [dict(row, patient_id=f"q{n}", condition="ptsd") for n, row in enumerate(rows[:20])]
    assert find(known_model(data_digest=digest), read(rows + more)).alarms


def test_a_too_high_auc_raises_an_alarm(find, known_model, draw, read):
    rows = draw(800, slope=6)
    assert any("LEAKAGE" in alarm for alarm in find(known_model(), read(rows)).alarms)
    simulated = [row | {"simulated": "true"} for row in rows]
    alarms = find(known_model(data="simulated"), read(simulated)).alarms
    assert not alarms


def test_simulated_model_on_real_patients_raises_an_alarm(find, known_model, draw, read):
    findings = find(known_model(data="simulated"), read(draw(300)))
    assert findings.simulated
    assert "one is simulated, the other is real" in findings.alarms[0]


def test_the_case_mix_is_described(find, known_model, draw, read):
    rows = draw(800, intercept=1.0)
    rows = [row | {"gad7": ""} for row in rows]
    limitations = " ".join(find(known_model(), read(rows)).limitations)
    assert "was 45.0% in the development" in limitations
    assert "never recorded: GAD-7" in limitations
    assert "Were every estimate true" in limitations


@pytest.mark.parametrize("kept", [0, 1], ids=["no event", "only events"])
def test_a_cohort_of_one_class_is_refused(find, known_model, draw, read, kept):
    rows = [row for row in draw(200) if (2 * row["phq9_acute"] <= row["phq9"]) == kept]
    with pytest.raises(CohortError, match="validation needs both classes"):
        find(known_model(), read(rows))


def test_a_cohort_without_outcomes_is_refused(find, known_model, draw, read):
    rows = [row | {"phq9_acute": ""} for row in draw(50)]
    rows[0]["age"] = 90
    with pytest.raises(CohortError, match=r"1 outside the studied ranges, 49 without a known"):
        find(known_model(), read(rows))


def test_a_handful_of_courses_gives_measures_without_intervals(find, known_model, draw, read):
    findings = find(known_model(), read(draw(6, seed=2)))
    assert findings.courses == 6
    assert get_external(findings)["ratio"].value is not None


def test_an_update_needs_an_earlier_score(find, known_model, draw, read):
    base = known_model()
    ranges = (*base.card.ranges, StudiedRange(field="phq9_week2", low=0, high=27))
    model = known_model(outcome="phq9.acute.response.after-week2", ranges=ranges)
    generator = np.random.default_rng(1)
    rows = [row | {"phq9_week2": int(generator.integers(0, 28))} for row in draw(400)]
    rows[0]["phq9_week2"] = ""
    findings = find(model, read(rows))
    assert "1 without any early score" in findings.cohort
    same = [row | {"phq9_week2": row["phq9_acute"]} for row in draw(400)]
    with pytest.raises(CohortError, match="must be read earlier"):
        find(model, read(same))


def test_a_recalibrated_model_is_calibrated_on_other_folds(known_model, draw, read):
    cohort = read(draw(2000, intercept=0.5, slope=0.6))
    validation = validate_on_cohort(known_model(), "3", cohort, GATE)
    before = describe_external(validation)
    model, findings = make_recalibrated(validation, before.recalibration)
    measures = get_external(findings)
    assert measures["slope"].value == pytest.approx(1, abs=0.1)
    assert measures["intercept"].value == pytest.approx(0, abs=0.02)
    assert measures["log_loss"].value < get_external(before)["log_loss"].value
    assert "beats the base rate of the other folds" in findings.verdict
    assert "beats the base rate of its development" in before.verdict
    assert judge_findings(findings).passed
    assert not findings.alarms
    (facts,) = model.card.recalibrated
    assert (facts.courses, facts.data_digest) == (2000, digest_cohort(cohort))
    assert digest_cohort(cohort)[:12] in model.card.validation
    assert "version 3" in model.card.verdict
    assert findings.card == model.card
    again = describe_external(validate_on_cohort(model, "4", cohort, GATE))
    assert "apparent performance" in again.alarms[0], "it learned its level from these courses"


def test_findings_of_a_recalibration_are_not_optimistic(known_model, draw, read):
    """If outcomes are unrelated to the model, held-out folds show it."""
    cohort = read(draw(400, slope=0.25, seed=5))
    validation = validate_on_cohort(known_model(), "3", cohort, GATE)
    model, findings = make_recalibrated(validation, describe_external(validation).recalibration)
    own = model.equation.compute_log_odds(validation.selection.columns)[:, 0]
    outcome = validation.selection.outcome
    apparent = np.logaddexp(0, np.where(outcome == 1, -own, own)).mean()
    assert get_external(findings)["log_loss"].value > apparent


def test_too_few_courses_for_a_recalibration_are_refused(known_model, draw, read):
    validation = validate_on_cohort(known_model(), "3", read(draw(30, intercept=3)), GATE)
    with pytest.raises(CohortError, match="both classes need at least 20 patients"):
        make_recalibrated(validation, describe_external(validation).recalibration)
