"""Loading champions: intact ones at once, damaged ones never, and without interruption."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from sklearn.tree import DecisionTreeClassifier

from features.base.errors import UnavailableError
from features.dictionary.additions import Agent
from serving.estimates.roster import Roster
from serving.models.models import store_model

NAME = "phq9.acute.response"


@pytest.fixture
def folder(tmp_path):
    """An empty model store of BentoML's."""
    models = tmp_path / "models"
    models.mkdir()
    BentoMLContainer.model_store.set(ModelStore(models))
    yield models
    BentoMLContainer.model_store.reset()


@pytest.fixture
def store_champion(folder, tmp_path, make_champion):
    """Put a champion into the store, as `pull` does; returns its tag."""

    def store(version, name=NAME, **facts):
        model = make_champion(name, **facts).model
        target = tmp_path / f"{name}-{version}"
        return store_model(target, name, version, model.save(target))

    return store


@pytest.fixture
def store_exported(folder, tmp_path, make_champion):
    """Put a champion that was exported from scikit-learn into the store; returns its tag."""
    from training.candidates.export import export_classifier

    model = make_champion().model
    matrix = np.arange(40 * len(model.card.features)).reshape(40, -1).astype(np.float32)
    tree = DecisionTreeClassifier(max_depth=2).fit(matrix, np.arange(40) > 20)
    exported = export_classifier(tree, matrix)
    versions = len(model.equation.terms.intercept)
    equation = replace(model.equation, classifiers=(exported,) * versions)
    target = tmp_path / "exported"
    return store_model(target, NAME, "1", replace(model, equation=equation).save(target))


def damage(folder, tag):
    path = folder / tag.replace(":", "/") / "terms.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def list_versions(roster):
    return [(champion.model.card.name, champion.version) for champion in roster.champions]


def test_without_any_champion_nothing_is_served(folder):
    roster = Roster(folder, 10)
    assert roster.refresh() is False
    with pytest.raises(UnavailableError, match="no champion"):
        roster.require()


def test_new_champion_joins_and_old_one_stays(folder, store_champion):
    store_champion("1")
    roster = Roster(folder, 10)
    assert roster.refresh() is True
    first = roster.champions[0]
    assert roster.refresh() is False
    store_champion("2", "gad7.acute.response", conditions=("anxiety",))
    assert roster.refresh() is True
    assert list_versions(roster) == [("gad7.acute.response", "2"), (NAME, "1")]
    assert roster.champions[1] is first
    store_champion("3")
    roster.refresh()
    assert list_versions(roster)[1] == (NAME, "3")
    assert roster.reasons == ()


def test_without_onnxruntime_the_other_champions_serve(
    store_exported, store_champion, folder, monkeypatch
):
    """And the reason says what to install; once that is done, the champion joins them."""
    store_champion("2", "gad7.acute.response", conditions=("anxiety",))
    roster = Roster(folder, 10)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "onnxruntime", None)
        roster.refresh()
    assert list_versions(roster) == [("gad7.acute.response", "2")]
    (reason,) = roster.reasons
    assert reason.startswith(f"{store_exported}: this model was exported from scikit-learn")
    assert reason.endswith("`python -m pip install onnxruntime`; none serves")
    roster.refresh()
    assert list_versions(roster) == [("gad7.acute.response", "2"), (NAME, "1")]


def test_damaged_new_champion_leaves_the_old_one_serving(folder, store_champion):
    store_champion("1")
    roster = Roster(folder, 10)
    roster.refresh()
    before = roster.predictor
    tag = store_champion("2")
    damage(folder, tag)
    assert roster.refresh() is False
    assert roster.predictor is before
    (reason,) = roster.reasons
    assert tag in reason
    assert "damaged" in reason
    store_champion("3")
    assert roster.refresh() is True
    assert list_versions(roster) == [(NAME, "3")]
    assert roster.reasons == ()


def test_new_process_serves_champion_before_damaged_one(folder, store_champion):
    store_champion("1")
    store_champion("2")
    damage(folder, store_champion("3"))
    roster = Roster(folder, 10)
    roster.refresh()
    assert list_versions(roster) == [(NAME, "2")]
    assert len(roster.reasons) == 1


def test_unreadable_champions_are_reported_with_reasons(folder, store_champion):
    tag = store_champion("1")
    damage(folder, tag)
    roster = Roster(folder, 10)
    roster.refresh()
    with pytest.raises(UnavailableError, match="damaged"):
        roster.require()


def test_champion_that_cannot_estimate_is_a_reason(folder, tmp_path, make_champion):
    """Its files are intact, but it reads a field that this version does not know."""
    model = make_champion(NAME).model
    (first, *others) = model.equation.features
    features = (first.model_copy(update={"field": "shoe_size"}), *others)
    card = model.card.model_copy(update={"features": features})
    digest = replace(model, card=card).save(tmp_path / "odd")
    store_model(tmp_path / "odd", NAME, "1", digest)
    roster = Roster(folder, 10)
    assert roster.refresh() is False
    assert "cannot estimate" in roster.reasons[0]


def test_champion_without_store_entry_is_a_reason(folder, store_champion):
    store_champion("1")
    roster = Roster(folder, 10)
    roster.refresh()
    tag = store_champion("2")
    (folder / tag.replace(":", "/") / "model.yaml").write_text("not: [a, model")
    assert roster.refresh() is False
    assert list_versions(roster) == [(NAME, "1")]
    assert tag in roster.reasons[0]


def test_a_store_that_goes_away_changes_nothing(folder, store_champion, tmp_path):
    store_champion("1")
    roster = Roster(folder, 10)
    roster.refresh()
    folder.rename(tmp_path / "away")
    assert roster.refresh() is False
    assert list_versions(roster) == [(NAME, "1")]
    assert "no longer in the store" in roster.reasons[0]
    (tmp_path / "away").rename(folder)
    roster.refresh()
    assert roster.reasons == ()


def test_models_of_other_projects_are_left_alone(folder, store_champion):
    import bentoml

    store_champion("1")
    with bentoml.models.create("somebody_elses"):
        pass
    roster = Roster(folder, 10)
    roster.refresh()
    assert list_versions(roster) == [(NAME, "1")]
    assert roster.reasons == ()


def test_bento_serves_its_own_models(folder, store_champion):
    first = store_champion("1")
    store_champion("2")
    roster = Roster(folder, 10, tags=[first])
    roster.refresh()
    assert list_versions(roster) == [(NAME, "1")]


def test_champions_that_contradict_each_other_do_not_mix(folder, make_champion, tmp_path):
    """Each names the agent in its own way; the first continues alone."""
    roster = Roster(folder, 10)
    for number, label in enumerate(("CBT", "CBT", "Computerised CBT")):
        name = f"{('phq9', 'gad7', 'pcl5')[number]}.acute.response"
        model = make_champion(name).model
        agents = (Agent(key="cbt", label=label, routes=()),)
        model = replace(model, card=model.card.model_copy(update={"added_agents": agents}))
        store_model(tmp_path / name, name, "1", model.save(tmp_path / name))
        assert roster.refresh() is (label == "CBT")
    assert len(roster.champions) == 2
    assert roster.reasons == ("two champions define one thing differently: agents.cbt",)
    assert roster.dictionary.label_category("cbt") == "CBT"
