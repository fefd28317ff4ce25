"""A store shared with other teams: ours is found by its tag, theirs is left alone."""

import pytest

from features.base.errors import ArtifactError, UnavailableError
from features.model.artifact import CHAMPION_ALIAS, DIGEST_TAG
from features.model.tracking import (
    EXPERIMENT,
    PROJECT,
    PROJECT_TAG,
    find_experiment,
    list_champions,
)
from training.registry.registry import Registry
from training.study.study import Study

NAME = "phq9.acute.response"


@pytest.fixture
def registry(home):
    return Registry(home)


def add_foreign_model(client, name, **tags):
    """Register another team's model with a champion."""
    client.create_registered_model(name, {"project": "churn"})
    version = client.create_model_version(name, "s3://other/model", tags=tags).version
    client.set_registered_model_alias(name, CHAMPION_ALIAS, version)


def describe_store(client):
    """Everything that another team could miss."""
    models = client.search_registered_models(max_results=1000)
    experiments = client.search_experiments()
    runs = client.search_runs([experiment.experiment_id for experiment in experiments])
    return (
        {(m.name, tuple(m.tags.items()), tuple(m.aliases.items())) for m in models},
        {(e.name, e.artifact_location, tuple(e.tags.items())) for e in experiments},
        {(run.info.run_id, run.info.status, run.info.end_time) for run in runs},
    )


# Models.


def test_champions_are_found_on_every_page(register):
    """Some come before, some after 1,000 models of others."""
    client = register.registry.client
    version = register()
    register.registry.name_version(NAME, CHAMPION_ALIAS, version)
    for number in range(1005):
        client.create_registered_model(f"churn-{number:04d}")
    assert list_champions(client) == [(NAME, version)]


def test_another_teams_champion_is_not_ours(register):
    client = register.registry.client
    register.registry.name_version(NAME, CHAMPION_ALIAS, register())
    add_foreign_model(client, "a-churn")
    add_foreign_model(client, "z-fraud", digest="sha256:0123", data="real")
    assert [name for name, _ in list_champions(client)] == [NAME]


def test_models_from_before_the_tag_are_ours(register):
    client = register.registry.client
    register.registry.name_version(NAME, CHAMPION_ALIAS, register())
    client.delete_registered_model_tag(NAME, PROJECT_TAG)
    assert [name for name, _ in list_champions(client)] == [NAME]
    register()
    assert client.get_registered_model(NAME).tags[PROJECT_TAG] == PROJECT


def test_a_model_of_our_name_and_not_ours_is_left_alone(register, registry, developed):
    add_foreign_model(registry.client, NAME)
    before = describe_store(registry.client)[0]
    with pytest.raises(UnavailableError, match="another team's model"):
        registry.open_history(NAME)
    with pytest.raises(UnavailableError, match="another team's model"):
        register()
    with pytest.raises(ArtifactError, match="not registered by training"):
        registry.load_version(NAME, "1")
    assert describe_store(registry.client)[0] == before
    assert list_champions(registry.client) == []


def test_a_version_that_someone_added_to_ours_is_refused(register):
    registry = register.registry
    register()
    version = registry.client.create_model_version(NAME, "s3://other/model").version
    registry.name_version(NAME, CHAMPION_ALIAS, version)
    assert list_champions(registry.client) == [(NAME, str(version))]
    with pytest.raises(ArtifactError, match="not registered by training"):
        registry.load_champion(NAME)


def test_a_history_longer_than_a_page_is_read(register):
    history, version = register.registry.open_history(NAME), register()
    for _ in range(3):
        history.change(version, "promotion", "ada", "better")
    client = history.client
    search = client.search_model_versions
    client.search_model_versions = lambda text, **options: search(text, max_results=2, **options)
    assert len(history.read().events) == 3


# Experiments.


def open_run(registry):
    study = Study(name="by-hand", question="?", outcome=NAME, seed=1)
    with registry.open_study(study) as run:
        return registry.client.get_run(run).info.experiment_id


def test_our_experiment_is_found_by_its_tag(home, registry):
    registry.client.rename_experiment(registry.experiment, "moved to the team's naming")
    assert Registry(home).experiment == registry.experiment


def test_an_experiment_from_before_the_tag_is_ours(home, registry):
    open_run(registry)
    registry.client.delete_experiment_tag(registry.experiment, PROJECT_TAG)
    assert Registry(home).experiment == registry.experiment
    assert find_experiment(registry.client).tags[PROJECT_TAG] == PROJECT


def test_an_unrelated_experiment_of_our_name_is_left_alone(home, registry):
    client = registry.client
    client.rename_experiment(registry.experiment, "put aside")
    client.delete_experiment_tag(registry.experiment, PROJECT_TAG)
    theirs = client.create_experiment(EXPERIMENT)
    running = client.create_run(theirs, tags={"process": "unreadable"}).info.run_id
    before = describe_store(client)
    ours = Registry(home)
    assert open_run(ours) == ours.experiment != theirs
    assert Registry(home).experiment == ours.experiment
    for earlier, later in zip(before, describe_store(client), strict=True):
        assert earlier <= later
    assert client.get_run(running).info.status == "RUNNING"


def test_a_deleted_experiment_names_its_remedy(home, registry):
    registry.client.delete_experiment(registry.experiment)
    with pytest.raises(UnavailableError, match="mlflow experiments restore"):
        Registry(home)


def test_every_version_is_tagged(register):
    version = register()
    client = register.registry.client
    assert client.get_registered_model(NAME).tags == {PROJECT_TAG: PROJECT}
    assert {DIGEST_TAG, "candidate", "data"} <= set(client.get_model_version(NAME, version).tags)
