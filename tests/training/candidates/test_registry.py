"""The registry: built-in and installed candidates, from name to report."""

import sys
from pathlib import Path

import numpy as np
import pytest

from features.base.errors import StudyError
from training.candidates.base import Candidate
from training.candidates.registry import (
    colour_candidate,
    complete_study,
    label_candidate,
    list_built_in,
    list_candidates,
    make_candidates,
)
from training.candidates.tuning import Tuning
from training.fit import run_study
from training.registry.registry import Registry
from training.study.courses import load_design
from training.study.study import Study

MODULE = '''
import numpy as np

from training.candidates.base import Candidate, Fit, make_equation


class Hunch(Candidate):
    """Responders are those with milder symptoms, says the clinician."""

    name = "hunch"
    label = "hunch of a clinician"
    colour = "#a1b2c3"
    preference = 5

    def fit(self, design, seed):
        return Fit(self.refit(design, {}, seed), {})

    def refit(self, design, settings, seed):
        slopes = np.zeros(len(design.features))
        slopes[design.severity] = -0.05
        centre = slopes * design.centre
        return make_equation(design, -centre.sum(), slopes, centre)


class Unfinished(Candidate):
    name, label, colour = "unfinished", "unfinished", "#a1b2c3"

    def fit(self, design, seed): ...


class Colourless(Hunch):
    name, colour = "colourless", "red"


NOT_A_CLASS = 1
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with entry points, as pip would, and uninstall it afterwards."""

    def install(**entries):
        (tmp_path / "hunches.py").write_text(MODULE)
        folder = tmp_path / "hunches-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hunches\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        (folder / "entry_points.txt").write_text(f"[ketamine_response.candidates]\n{lines}")
        monkeypatch.syspath_prepend(tmp_path)
        list_candidates.cache_clear()

    yield install
    sys.modules.pop("hunches", None)
    list_candidates.cache_clear()


def make_study(**parts):
    facts = {"name": "s", "question": "?", "outcome": "phq9.acute.response", "seed": 1}
    return Study(**(facts | parts))


def test_candidates_come_in_the_order_of_preference():
    assert list(list_built_in()) == [
        "evidence_prior",
        "anchored_xgboost",
        "elastic_net",
        "xgboost",
        "severity_only",
        "base_rate",
    ]


def test_each_candidate_has_its_own_label_and_colour():
    candidates = list_candidates()
    assert len({label_candidate(name) for name in candidates}) == len(candidates)
    assert len({colour_candidate(name) for name in candidates}) == len(candidates)


def test_candidates_say_what_they_need_and_give(make_design):
    """Fits without outcomes and posteriors exist for the candidates that declare them."""
    design = make_design(60)
    for name, candidate in make_candidates().items():
        assert (candidate.fit(design, 1).posterior is not None) == candidate.has_posterior, name
        if not candidate.needs_outcomes:
            blind = candidate.fit(design.select(np.arange(0)), 1).equation
            assert np.isfinite(blind.compute_log_odds(design.columns)).all()
    without = [name for name, kind in list_candidates().items() if not kind.needs_outcomes]
    assert without == ["evidence_prior", "base_rate"]


def test_tuning_reaches_every_candidate():
    tuning = Tuning(7)
    assert all(candidate.tuning is tuning for candidate in make_candidates(tuning).values())


def test_study_without_candidates_compares_all():
    assert complete_study(make_study()).candidates == tuple(list_candidates())
    named = make_study(candidates=("base_rate", "xgboost"))
    assert complete_study(named) is named


@pytest.mark.parametrize(
    ("candidates", "problems"),
    [
        (("xgboost",), [("candidates", "base_rate")]),
        (("base_rate", "oracle"), [("candidates.1", "literal_error")]),
        (("oracle",), [("candidates.0", "literal_error"), ("candidates", "base_rate")]),
    ],
)
def test_study_with_impossible_candidates_is_refused(candidates, problems):
    with pytest.raises(StudyError) as refused:
        complete_study(make_study(candidates=candidates))
    assert [(problem.field, problem.rule) for problem in refused.value.problems] == problems


def test_installed_candidate_goes_through_a_whole_fit(install, cohort, home):
    """Preferred, compared, refitted, validated, drawn and reported under its label."""
    install(hunch="hunches:Hunch")
    assert next(iter(list_candidates())) == "hunch"
    assert "hunch" not in list_built_in()  # nor, therefore, on the reference page
    study = make_study(
        candidates=("hunch", "base_rate"),
        validation={"folds": 3, "repeats": 1, "resamples": 100, "profile": "quick"},
        uncertainty={"redevelopments": 20},
    )
    summary = run_study(load_design(study, cohort), home, jobs=1)
    assert "hunch" in summary.as_dict()["candidates"]
    client = Registry(home).client
    report = client.download_artifacts(summary.run_id, summary.report_file)
    assert "hunch of a clinician" in Path(report).read_text("utf-8")
    figures = {file.path for file in client.list_artifacts(summary.run_id, "figures")}
    assert "figures/roc.png" in figures


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("hunches:Missing", "cannot be imported: AttributeError"),
        ("nowhere:Hunch", "cannot be imported: ModuleNotFoundError"),
        ("hunches:NOT_A_CLASS", "must be a subclass"),
        ("hunches:Unfinished", "must define refit"),
        ("hunches:Hunch", 'must say name = "other"'),
    ],
)
def test_faulty_entry_point_is_explained(install, entry, message):
    install(other=entry)
    with pytest.raises(StudyError) as refused:
        list_candidates()
    (problem,) = refused.value.problems
    assert (problem.field, problem.rule) == ("entry point other", "candidate")
    assert message in problem.message


def test_faulty_colour_and_taken_name_are_explained(install):
    install(colourless="hunches:Colourless", base_rate="training.candidates.base_rate:BaseRate")
    with pytest.raises(StudyError) as refused:
        list_candidates()
    messages = {problem.field: problem.message for problem in refused.value.problems}
    assert "such as #00588f" in messages["entry point colourless"]
    assert "taken" in messages["entry point base_rate"]


def test_candidate_that_is_not_installed_keeps_its_name():
    assert label_candidate("hunch") == "hunch"
    assert colour_candidate("hunch").startswith("#")
    assert not hasattr(Candidate, "label")
