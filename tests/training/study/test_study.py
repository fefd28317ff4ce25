"""Study files: typed, frozen, and rejected with all problems at once."""

import tomllib
from pathlib import Path

import pytest

from features.base.errors import StudyError
from training.study.parts import GatePart
from training.study.study import Study, read_study

ROOT = Path(__file__).parents[3]
STUDY = """
name = "mine"
question = "?"
outcome = "phq9.acute.response"
seed = 1
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


def list_problems(path, *settings):
    with pytest.raises(StudyError) as refused:
        read_study(path, settings)
    return {(problem.field, problem.rule) for problem in refused.value.problems}


def test_a_short_study_has_sensible_defaults(write):
    study = read_study(write(STUDY))
    assert study.candidates == ()
    assert study.validation.folds == 5
    assert study.tuning.trials == 0
    assert "site" not in study.list_fields()
    assert "phq9" in study.list_fields()
    assert "psychosis" not in study.list_fields()


def test_study_may_begin_with_a_byte_order_mark(write):
    assert read_study(write("\ufeff" + STUDY)) == read_study(write(STUDY))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments" / "studies").glob("*.toml")), ids=lambda p: p.name
)
def test_every_study_of_the_project_can_be_read(path):
    study = read_study(path)
    for part in (study.cohort.mapping, study.cohort.path):
        located = study.locate(part)
        assert located is None or located.is_file()


def test_settings_override_the_file(write):
    settings = ["validation.folds=3", 'features.include=["phq9", "site"]', "name=other"]
    study = read_study(write(STUDY), settings)
    assert (study.validation.folds, study.name) == (3, "other")
    assert study.list_fields() == ["phq9", "site"]


@pytest.mark.parametrize(
    ("text", "field", "rule"),
    [
        (STUDY.replace("acute", "day1"), "outcome", "recall"),
        (STUDY.replace("phq9", "phq8"), "outcome", "instrument"),
        (STUDY.replace("seed = 1", ""), "seed", "missing"),
        (STUDY.replace("seed = 1", "seed = -1"), "seed", "greater_than_equal"),
        (STUDY + "surprise = 1\n", "surprise", "extra_forbidden"),
        (STUDY + "[validation]\nfolds = 1\n", "validation.folds", "greater_than_equal"),
        (STUDY + "[tuning]\ntrials = -1\n", "tuning.trials", "greater_than_equal"),
        (STUDY + "[tuning]\ntrials = 501\n", "tuning.trials", "less_than_equal"),
        (STUDY + "[tuning]\ntrials = 2.5\n", "tuning.trials", "int_from_float"),
        (STUDY + "[tuning]\nseconds = 9\n", "tuning.seconds", "extra_forbidden"),
        (STUDY + "[attrition]\nodds_ratios = [1.0]\n", "attrition.odds_ratios", "extra_forbidden"),
        (
            STUDY + "[gate]\ncalibration_slope = [1.5, 0.7]\n",
            "gate.calibration_slope",
            "value_error",
        ),
        (
            STUDY + "[gate]\ncalibration_ratio = [0.0, 1.2]\n",
            "gate.calibration_ratio.0",
            "greater_than",
        ),
        (STUDY + "[gate]\nsubgroup_ratio = [0.5, inf]\n", "gate.subgroup_ratio.1", "finite_number"),
        (STUDY + "[gate]\nthresholds = [0.2, 1.0]\n", "gate.thresholds.1", "less_than"),
        (STUDY + "[gate]\nthresholds = [0.4]\n", "gate.thresholds.1", "missing"),
        (STUDY + "[gate]\nhighest_auc = 0.5\n", "gate.highest_auc", "greater_than"),
        (STUDY + "[gate]\ninstability = nan\n", "gate.instability", "less_than_equal"),
        (STUDY + "[gate]\nslope = 1.0\n", "gate.slope", "extra_forbidden"),
        (STUDY + '[features]\ninclude = ["phq8"]\n', "features: phq8", "unknown"),
        (STUDY + '[features]\ninclude = ["phq9_acute"]\n', "features: phq9_acute", "leakage"),
        (STUDY + '[features]\ninclude = ["cadss"]\n', "features: cadss", "leakage"),
        (STUDY + '[features]\ninclude = ["phq9_day1"]\n', "features: phq9_day1", "recall"),
        (STUDY.replace("response", "response.after-week12"), "outcome", "order"),
        (STUDY.replace("response", "response.after-never"), "outcome", "checkpoint"),
        (STUDY + '[features]\ninclude = ["patient_id"]\n', "features: patient_id", "identity"),
        (STUDY + '[cohort]\nwhere = { agent = ["lsd"] }\n', "where: agent", "category"),
        (STUDY + '[cohort]\nwhere = { age = ["44"] }\n', "where: age", "unknown"),
        ("name = [", "file", "toml"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(write, text, field, rule):
    assert (field, rule) in list_problems(write(text))


@pytest.fixture
def write_update(write):
    """Write a study whose estimates are updated after two weeks, with some features."""

    def write_update(*features):
        chosen = f"[features]\ninclude = {list(features)}\n" if features else ""
        return write(STUDY.replace("response", "response.after-week2") + chosen)

    return write_update


def test_update_may_use_scores_to_its_checkpoint(write_update):
    fields = set(read_study(write_update()).list_fields())
    assert {"phq9", "age", "phq9_week2", "madrs_day1", "madrs_week1", "madrs_week2"} <= fields
    assert not {"phq9_acute", "madrs_acute", "phq9_week12", "phq9_day1", "site"} & fields
    named = read_study(write_update("phq9", "madrs_week1"))
    assert named.list_fields() == ["phq9", "madrs_week1"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("phq9_acute", "leakage"),
        ("madrs_week12", "leakage"),
        ("phq9_day1", "recall"),
        ("cadss", "leakage"),
        ("sessions_completed", "leakage"),
        ("early_response", "leakage"),
        ("patient_id", "identity"),
    ],
)
def test_update_refuses_later_scores(write_update, name, rule):
    path = write_update("phq9", "phq9_week2", name)
    assert list_problems(path) == {(f"features: {name}", rule)}


def test_an_update_without_any_early_score_is_refused(write_update):
    assert list_problems(write_update("phq9", "age")) == {("features", "early_score")}


def test_all_problems_come_at_once(write):
    text = STUDY.replace("acute", "day1") + '[features]\ninclude = ["phq8", "phq9_acute"]\n'
    assert len(list_problems(write(text))) == 3


def test_a_missing_study_is_refused(tmp_path):
    assert list_problems(tmp_path / "absent.toml") == {("file", "exists")}


def test_a_setting_without_a_value_is_refused(write):
    assert list_problems(write(STUDY), "folds") == {("--set", "form")}


def test_reference_page_lists_every_key_and_default(tmp_path):
    """The gate's values on the page are the defaults."""
    text = (ROOT / "docs" / "reference" / "studies.md").read_text("utf-8")
    block = text.split("```toml\n")[1].split("```")[0]
    table = tomllib.loads(block)
    for name, field in Study.model_fields.items():
        if field.exclude:
            continue
        assert name in table, name
        part = field.default_factory and field.default_factory()
        for key in type(part).model_fields if part is not None else ():
            assert key in table[name], f"{name}.{key}"
    (tmp_path / "study.toml").write_text(block)
    for name in ("my_clinic.toml", "my_scales.toml", "invented2026.toml"):
        (tmp_path / name).write_text("")
    assert read_study(tmp_path / "study.toml").gate == GatePart()
