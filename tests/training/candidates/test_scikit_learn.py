"""A user's classifier as a candidate: chosen, calibrated and refused like and unlike our own."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.base.errors import UnavailableError
from features.model.classifier import bound_log_odds
from training.candidates import export, scikit_learn
from training.candidates.base import Candidate
from training.candidates.base_rate import BaseRate
from training.candidates.calibration import NONE, Calibration
from training.candidates.export import count_affordable
from training.candidates.scikit_learn import FitError, SklearnCandidate
from training.candidates.tuning import Range, Space, Tuning, list_own_sources
from training.validation.resample import join_versions


class Own(SklearnCandidate):
    """Any classifier."""

    name, label, colour = "own", "own", "#a1b2c3"

    def __init__(self, estimator):
        super().__init__()
        self.estimator = estimator

    def make(self):
        return self.estimator


class Leaves(SklearnCandidate):
    """A tree whose leaves are tuned."""

    name, label, colour = "leaves", "leaves", "#a1b2c3"
    space = Space(fixed=({"leaf": 20.0}, {"leaf": 60.0}), ranges={"leaf": Range(10, 80)})

    def make(self, leaf):
        return RandomForestClassifier(5, min_samples_leaf=int(leaf))


def impute(*steps):
    return make_pipeline(SimpleImputer(), *steps)


def find_message(estimator, design):
    (problem,) = Own(estimator).find_problems(design)
    assert (problem.field, problem.rule) == ("candidates.own", "classifier")
    return problem.message


def test_fit_is_scikit_learns_with_our_seed_and_calibration(make_design):
    design = make_design(200)
    fit = Own(RandomForestClassifier(10, min_samples_leaf=20)).fit(design, 7)
    forest = RandomForestClassifier(10, min_samples_leaf=20, random_state=7)
    forest.fit(design.matrix, design.outcome.astype(int))
    own = bound_log_odds(forest.predict_proba(design.matrix)[:, 1])
    calibrated = Calibration.from_settings(fit.settings).apply(own)
    log_odds = fit.equation.compute_log_odds(design.columns)[:, 0]
    assert log_odds == pytest.approx(calibrated, abs=1e-4)
    assert np.isfinite(fit.inner).all()
    again = Own(RandomForestClassifier(10, min_samples_leaf=20)).fit(design, 7)
    assert np.array_equal(again.equation.compute_log_odds(design.columns)[:, 0], log_odds)


def test_calibration_of_an_overconfident_classifier_shrinks_it(make_design):
    """A single neighbour is always sure: its log-odds are at the bounds before calibration."""
    fit = Own(impute(KNeighborsClassifier(1))).fit(make_design(200), 1)
    assert fit.settings["calibration_above"] < 0.2
    log_odds = fit.equation.compute_log_odds(make_design(200).columns)
    assert np.abs(log_odds).max() < 1.5


def test_classifier_does_not_know_the_site(make_design):
    design = make_design(120, site_effects=(-1.0, 1.0))
    assert design.site_names
    equation = Own(RandomForestClassifier(5, min_samples_leaf=20)).fit(design, 1).equation
    assert "site" not in equation.fields
    assert not equation.splits


def test_samples_of_one_class_become_the_base_rate(make_design):
    """As one version among others, which are classifiers."""
    design = make_design(120)
    candidate = Own(RandomForestClassifier(5, min_samples_leaf=20))
    fit = candidate.fit(design, 1)
    only = design.select(np.flatnonzero(design.outcome == 1)[:40])
    joined = join_versions([fit.equation, candidate.refit(only, fit.settings, 2)])
    log_odds = joined.compute_log_odds(design.columns, slice(None))
    assert np.ptp(log_odds[:, 0]) > 0
    assert log_odds[:, 1] == pytest.approx(np.log(40.5 / 0.5))


def test_field_missing_in_a_whole_sample_is_no_obstacle(make_design):
    """Histogram boosting fails on one, and an imputer would drop the column."""
    design = make_design(150)
    matrix = design.matrix.copy()
    matrix[:, 0] = np.nan
    rare = replace(design, matrix=matrix)
    for estimator in (HistGradientBoostingClassifier(max_iter=5), impute(LogisticRegression())):
        equation = Own(estimator).fit(rare, 1).equation
        assert np.isfinite(equation.compute_log_odds(design.columns)).all()


def test_weights_reach_the_last_step_of_a_pipeline(make_design):
    design = make_design(200)
    weighted = replace(design, given_weights=np.where(design.outcome == 1, 3.0, 1.0))
    candidate = Own(impute(StandardScaler(), LogisticRegression()))
    settings = NONE.as_settings()
    plain, heavy = (
        candidate.refit(each, settings, 1).compute_log_odds(design.columns).mean()
        for each in (design, weighted)
    )
    assert heavy - plain == pytest.approx(np.log(3), abs=0.1)
    assert "must accept sample_weight" in find_message(impute(KNeighborsClassifier()), weighted)


def test_settings_are_chosen_on_inner_folds_and_resume(make_design, tmp_path):
    design = make_design(150)
    fixed = Leaves().fit(design, 3)
    assert fixed.settings["leaf"] in (20, 60)
    assert [trial.settings["leaf"] for trial in fixed.trials] == [20, 60]
    tuning = Tuning(4, tmp_path)
    tuned = Leaves(tuning).fit(design, 3)
    assert len(tuned.trials) == 4
    resumed = Leaves(tuning).fit(design, 3)
    assert resumed.trials == tuned.trials
    assert resumed.settings == tuned.settings


def test_refits_are_as_many_as_fit_into_the_artifact(make_design, monkeypatch):
    design = make_design(100)
    candidate = Own(RandomForestClassifier(5, min_samples_leaf=20))
    fit = candidate.fit(design, 1)
    size = len(fit.equation.classifiers[0].content)
    assert count_affordable(fit.equation) == export._MAX_BYTES // size
    monkeypatch.setattr(export, "_MAX_BYTES", 30 * size)
    assert count_affordable(fit.equation) == 30
    monkeypatch.setattr(export, "_MAX_BYTES", size)
    assert count_affordable(fit.equation) == 20


def test_sound_classifiers_have_no_problems(make_design):
    for estimator in (RandomForestClassifier(5), impute(LogisticRegression())):
        assert Own(estimator).find_problems(make_design(80)) == []


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "must accept missing values (NaN): put an imputer before it"),
        (impute(Perceptron()), "must return a classifier of scikit-learn that has predict_proba"),
        (object(), "must return a classifier of scikit-learn that has predict_proba"),
        (RandomForestClassifier(5, max_depth=0), "InvalidParameterError: The 'max_depth'"),
        (impute(KNeighborsClassifier(500)), "ValueError: Expected n_neighbors <= n_samples_fit"),
        (make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=1)),
         "the largest difference is"),
    ],
)  # fmt: skip
def test_unsound_classifier_is_explained(make_design, estimator, message):
    assert message in find_message(estimator, make_design(80))


@pytest.mark.parametrize("fixed", [(), ({"leaf": 5.0}, {"leaves": 5.0}), ({},)])
def test_settings_without_the_same_names_are_refused(make_design, monkeypatch, fixed):
    monkeypatch.setattr(Leaves, "space", Space(fixed=fixed, ranges={"leaf": Range(10, 80)}))
    (problem,) = Leaves().find_problems(make_design(60))
    assert "must name the same settings" in problem.message


def test_file_that_is_too_large_is_refused(make_design, monkeypatch):
    monkeypatch.setattr(scikit_learn, "MAX_FILE_BYTES", 2**10)
    message = find_message(RandomForestClassifier(20), make_design(80))
    assert "MiB" in message
    assert "larger leaves" in message


def test_error_on_patients_quotes_nothing_of_them(make_design):
    """Made-up numbers may be quoted; those of patients never."""

    class Gossip(RandomForestClassifier):
        def fit(self, matrix, y, sample_weight=None):
            if not np.isnan(matrix[:, -1]).all():
                raise ValueError(f"what is {matrix[0]}?")
            return super().fit(matrix, y)

    design = make_design(60)
    with pytest.raises(FitError) as refused:
        Own(Gossip()).fit(design, 1)
    assert "candidate own: ValueError in test_scikit_learn.py, line" in str(refused.value)
    assert "what is" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_missing_packages_are_named(make_design, monkeypatch):
    monkeypatch.setattr(scikit_learn, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(UnavailableError, match="candidate own is exported as ONNX and needs"):
        Own(RandomForestClassifier(5)).find_problems(make_design(60))


def test_study_without_features_predicts_the_base_rate(make_design):
    design = make_design(60)
    blank = replace(design, features=(), matrix=design.matrix[:, :0])
    candidate = Own(RandomForestClassifier(5))
    assert candidate.find_problems(blank) == []
    log_odds = candidate.fit(blank, 1).equation.compute_log_odds(design.columns)
    assert np.ptp(log_odds) == 0


def test_only_its_making_is_left_to_the_user():
    assert SklearnCandidate.__abstractmethods__ == {"make"}


def test_results_of_an_earlier_file_are_not_reused():
    """Journals and stored results are named by the files of a user's own candidates."""
    nothing = list_own_sources([])
    assert list_own_sources([BaseRate]) == nothing
    assert list_own_sources([Own, BaseRate])["own"] != nothing["own"]


def test_built_in_candidates_have_nothing_to_check(make_design):
    assert Candidate.find_problems(Own(None), make_design(60)) == []
