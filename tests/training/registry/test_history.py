"""The history of champions in a real MLflow store: conflicts, kills and detected changes."""

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import warm_python

from features.base.errors import ArtifactError, UnavailableError
from features.base.home import find_home
from features.model.artifact import CHAMPION_ALIAS
from training.registry.history import (
    EVENT_TAG,
    HEAD_TAG,
    Event,
    History,
    describe_history,
    find_previous_champion,
)
from training.registry.registry import Registry

NAME = "phq9.acute.response"
PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model_home(empty_store, tmp_path_factory):
    """A home whose registry holds five versions of a model; copied for each test."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(empty_store, folder, dirs_exist_ok=True)
    client = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(folder)})).client
    client.create_registered_model(NAME)
    for _ in range(5):
        client.create_model_version(NAME, "made:/by-hand")
    return folder


@pytest.fixture
def home(model_home, tmp_path):
    shutil.copytree(model_home, tmp_path, dirs_exist_ok=True)
    return find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path)})


@pytest.fixture
def history(home):
    return History(Registry(home).client, NAME)


def make_event(history, after, action="promotion", reason="better"):
    """Make the event that would come next."""
    head = history.read().head
    return Event(
        number=head.number + 1 if head else 1,
        at="2026-01-01T00:00:00+00:00",
        who="ada",
        action=action,
        before=head.after if head else None,
        after=after,
        reason=reason,
        gate=({"name": "slope", "value": 0.97, "low": 0.7, "high": 1.5, "passed": True},),
        previous=head.digest if head else "",
    )


@pytest.fixture
def recorded(history):
    """A history of three events."""
    for after in ("1", "2", "1"):
        history.record(make_event(history, after))
    return history


def change_event(recorded, number, **changes):
    """Change a stored event directly in the store."""
    stored = recorded.client.get_model_version(recorded.name, str(number))
    event = json.loads(stored.tags[EVENT_TAG]) | changes
    recorded.client.set_model_version_tag(recorded.name, str(number), EVENT_TAG, json.dumps(event))


def test_events_form_a_chain_that_the_alias_follows(recorded):
    events = recorded.read().events
    assert [event.number for event in events] == [1, 2, 3]
    assert [event.previous for event in events] == ["", events[0].digest, events[1].digest]
    assert [event.before for event in events] == [None, "1", "2"]
    assert recorded.find_champion() == "1"
    assert recorded.verify() == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_change_of_any_event_is_detected(recorded, number):
    whole = recorded.client.get_model_version(recorded.name, str(number)).tags[EVENT_TAG]
    for changes in ({"reason": "worse"}, {"who": "eve"}, {"after": "4"}, {"gate": []}):
        change_event(recorded, number, **changes)
        assert recorded.verify()
        with pytest.raises(ArtifactError, match="broken"):
            recorded.record(make_event(recorded, "5"))
        recorded.client.set_model_version_tag(recorded.name, str(number), EVENT_TAG, whole)
        assert not recorded.verify()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_event_is_detected_anywhere(recorded, number):
    recorded.client.delete_model_version(recorded.name, str(number))
    assert recorded.verify()


def test_reordered_events_are_detected(recorded):
    stored = [
        recorded.client.get_model_version(recorded.name, str(n)).tags[EVENT_TAG] for n in (2, 3)
    ]
    for number, text in zip((3, 2), stored, strict=True):
        recorded.client.set_model_version_tag(recorded.name, str(number), EVENT_TAG, text)
    assert recorded.verify()


def test_an_unreadable_event_is_detected(recorded):
    recorded.client.set_model_version_tag(recorded.name, "2", EVENT_TAG, "{}")
    assert "event 2 cannot be read" in recorded.verify()


def test_an_alias_moved_by_hand_is_detected(recorded):
    recorded.client.set_registered_model_alias(NAME, CHAMPION_ALIAS, "5")
    assert recorded.verify() == ("the champion's alias was moved without an event",)
    recorded.client.set_registered_model_alias(NAME, CHAMPION_ALIAS, "2")
    assert recorded.verify() == ("the champion's alias was moved without an event",)


def test_a_champion_without_an_event_is_detected(history):
    history.client.set_registered_model_alias(NAME, CHAMPION_ALIAS, "2")
    assert history.verify() == ("version 2 is champion without an event",)


def test_first_of_two_changes_after_an_event_wins(recorded):
    first, second = make_event(recorded, "4"), make_event(recorded, "5")
    recorded.record(first)
    with pytest.raises(UnavailableError, match="came first"):
        recorded.record(second)
    assert recorded.find_champion() == "4"
    assert recorded.read().head == first
    assert recorded.verify() == ()
    recorded.record(make_event(recorded, "5"))
    assert recorded.find_champion() == "5"
    assert recorded.verify() == ()


def test_of_many_changes_at_once_one_wins(recorded, home):
    events = [make_event(recorded, str(version)) for version in (2, 3, 4, 5)]

    def record(event):
        try:
            return History(Registry(home).client, NAME).record(event)
        except UnavailableError:
            return None

    with ThreadPoolExecutor(4) as pool:
        won = [event for event in pool.map(record, events) if event]
    assert len(won) == 1
    assert recorded.read().events[3:] == tuple(won)
    assert recorded.find_champion() == won[0].after
    assert recorded.verify() == ()


def test_a_kill_between_event_and_alias_is_repaired(recorded):
    event = make_event(recorded, "4")
    recorded.client.create_model_version(
        recorded.name, "history:/event", tags={EVENT_TAG: event.model_dump_json()}
    )
    assert recorded.find_champion() == "1"
    assert recorded.verify() == ()
    recorded.resume()
    assert recorded.find_champion() == "4"
    assert recorded.client.get_registered_model(recorded.name).tags[HEAD_TAG] == event.digest


KILLED = """
import sys
from features.base.home import find_home
from training.registry.history import History
from training.registry.registry import Registry
sys.path.insert(0, "tests/training/registry")
from test_history import NAME, make_event
history = History(Registry(find_home({"KETAMINE_RESPONSE_HOME": sys.argv[1]})).client, NAME)
print("ready", flush=True)
while True:
    history.resume()
    version = str(history.read().head.number % 5 + 1)
    history.record(make_event(history, version))
"""


@pytest.mark.parametrize("delay", [0.05, 0.17])
def test_a_killed_promotion_leaves_an_intact_history(recorded, tmp_path, delay):
    command = [*warm_python.COMMAND, "-c", KILLED, str(tmp_path)]
    path = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'tests'}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT, env=path) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert recorded.verify() == ()
    recorded.resume()
    head = recorded.read().head
    assert recorded.find_champion() == head.after
    recorded.record(make_event(recorded, "3"))
    assert recorded.verify() == ()


def test_rollbacks_undo_promotions_one_by_one(history):
    for after in ("1", "2", "3"):
        history.change(after, "promotion", "ada", "better")
    assert find_previous_champion(history.read().events) == "2"
    history.change("2", "rollback", "ada", "worse at our clinic")
    assert find_previous_champion(history.read().events) == "1"
    history.change("1", "rollback", "ada", "worse still")
    assert find_previous_champion(history.read().events) is None
    history.change("5", "promotion", "ada", "better")
    assert find_previous_champion(history.read().events) == "1"
    assert history.find_champion() == "5"


def test_the_history_shows_who_when_what_why(recorded):
    lines = describe_history(recorded.read().events, recorded.verify()).splitlines()
    when = "2026-01-01T00:00:00+00:00"
    assert lines[2] == f"2. {when} ada: promotion of version 2 in place of 1. better"
    assert lines[3] == "   passed: slope 0.97 (0.7 to 1.5)"
    assert lines[-1] == "3 events, the chain is intact"
    change_event(recorded, 3, who="eve")
    assert "BROKEN" in describe_history(recorded.read().events, recorded.verify())
