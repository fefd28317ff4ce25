"""Fixtures of serving's tests: champions made by hand, with known numbers."""

import asyncio
import json
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path

import bentoml
import numpy as np
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from starlette.testclient import TestClient

from features.dictionary.outcome import parse_outcome
from features.model.calibration import IDENTITY
from features.model.card import (
    IntervalFacts,
    Measure,
    ModelCard,
    OutcomeFacts,
    Population,
    StudiedRange,
)
from features.model.equation import Equation
from features.model.matrix import list_features
from features.model.response_model import ResponseModel
from features.model.terms import Terms
from serving.base.metrics import Metrics
from serving.base.settings import ServingSettings
from serving.estimates.grouping import Grouping
from serving.estimates.predictor import Predictor
from serving.estimates.roster import Roster
from serving.http.access import Access
from serving.http.middleware import add_request_middleware
from serving.http.parts import Parts
from serving.http.recording import Recorder
from serving.models.champion import Champion
from serving.models.models import store_model
from serving.service import ResponseService
from serving.store.audit import AuditLog
from serving.store.database import prepare_store
from serving.store.keys import KeyRing, KeyStore
from serving.store.secrets import derive_secrets
from serving.store.writer import AuditWriter


@pytest.fixture(scope="session")
def make_champion():
    """Makes a champion that reads PHQ-9, age and bipolar disorder."""

    def make(outcome="phq9.acute.response", conditions=("depression",), data="real", spread=0.1):
        features = list_features(["bmi", "phq9", "bipolar"])
        present = np.array([[0.02, -0.05, -0.3]])  # in the registry's order
        around = present + spread * np.linspace(-0.1, 0.1, 9)[:, None]
        versions = np.vstack([present, around])
        terms = Terms(
            intercept=np.full(10, 0.4),
            present=versions,
            missing=versions * np.array([28.0, 16.0, 0.1]),
            sites=np.tile([[0.5, 0.0]], (10, 1)),
            trees=np.zeros(10),
            centre=np.array([28.0, 16.0, 0.1]),
            scale=np.ones(3),
            pairs=np.empty((0, 2), dtype=np.int64),
            products=np.empty((10, 0)),
            calibration=np.tile(IDENTITY, (10, 1)),
        )
        parsed = parse_outcome(outcome)
        card = ModelCard(
            name=outcome,
            outcome=OutcomeFacts(**parsed.describe()),
            candidate="elastic_net",
            data=data,
            study="by-hand",
            question="?",
            created="2026-01-01T00:00:00+00:00",
            seed=1,
            population=Population(courses=200, events=80, patients=200, sites=1, without_outcome=5),
            features=features,
            sites=("north",),
            ranges=(
                StudiedRange(field="condition", categories=conditions),
                StudiedRange(field="phq9", low=5, high=27),
                StudiedRange(field="bmi", low=15, high=50),
                StudiedRange(field="route", categories=("iv", "im")),
            ),
            interval=IntervalFacts(level=0.8, method="by hand", redevelopments=9),
            performance={"elastic_net": {"auc": Measure(value=0.6)}},
            validation="none",
            verdict="none",
            data_digest="0",
            versions={},
        )
        equation = Equation(features, card.sites, terms)
        return Champion(f"{outcome}:x", "3", ResponseModel(card, equation, "d" * 64))

    return make


@pytest.fixture(scope="session")
def make_update(make_champion):
    """Makes an update champion after two weeks, from PHQ-9 and its fall."""

    def make(outcome="phq9.acute.response.after-week2"):
        baseline = make_champion(outcome)
        features = list_features(["phq9", "phq9_week2"])
        present = np.tile([[-0.05, -0.1, 0.02]], (10, 1))
        terms = Terms(
            intercept=np.linspace(0.9, 1.1, 10),
            present=present,
            missing=present * np.array([16.0, 10.0, 30.0]),
            sites=np.zeros((10, 0)),
            trees=np.zeros(10),
            centre=np.array([16.0, 10.0, 30.0]),
            scale=np.ones(3),
            pairs=np.empty((0, 2), dtype=np.int64),
            products=np.empty((10, 0)),
            calibration=np.tile(IDENTITY, (10, 1)),
        )
        ranges = (
            StudiedRange(field="condition", categories=("depression",)),
            StudiedRange(field="phq9", low=5, high=27),
            StudiedRange(field="phq9_week2", low=0, high=25),
            StudiedRange(field="madrs_day1", low=0, high=50),
        )
        facts = {"features": features, "sites": (), "ranges": ranges}
        card = baseline.model.card.model_copy(update=facts)
        return Champion(
            f"{outcome}:x", "1", ResponseModel(card, Equation(features, (), terms), "e" * 64)
        )

    return make


@pytest.fixture(scope="session")
def predictor(make_champion):
    """One champion for depression, one for anxiety."""
    champions = (
        make_champion(),
        make_champion("gad7.acute.response", ("anxiety",)),
    )
    return Predictor(champions, least_sample_size=10)


@pytest.fixture
def store(tmp_path):
    """The test's own service store."""
    return prepare_store(f"sqlite:///{tmp_path / 'service.db'}")


def start_app(stack):
    """Start BentoML's application of the service without parts; returns its state too."""

    quiet = {"metrics": {"enabled": False}, "logging": {"access": {"enabled": False}}}

    @bentoml.service(name="tested", **quiet)
    class Tested(ResponseService.inner):
        def __init__(self):
            pass

        @property
        def parts(self):
            return self.state.parts

        @bentoml.on_startup
        async def open(self):
            pass

        @bentoml.on_shutdown
        async def close(self):
            pass

    add_request_middleware(Tested)
    app = Tested.to_asgi()
    stack.enter_context(TestClient(app))
    return app, Tested.inner.state


@pytest.fixture(scope="session")
def lend_app():
    """Lend started applications, which take longer to start than most tests to run."""
    free = []
    with ExitStack() as stack:

        @contextmanager
        def lend():
            app, state = free.pop() if free else start_app(stack)
            yield app, state
            state.parts = None
            free.append((app, state))

        yield lend


@pytest.fixture
def open_client(store, predictor, tmp_path, lend_app):
    """Opens the application with a store for one client; closed after the test."""
    opened = ExitStack()

    def make(client=("127.0.0.1", 5), host="127.0.0.1", champions=predictor, seal=None, **settings):
        chosen = ServingSettings(**settings)
        secrets = derive_secrets(b"0" * 32)
        metrics = Metrics()
        writer = AuditWriter(AuditLog(store, secrets.chain))
        recorder = Recorder(writer, secrets, metrics, seal, chosen.audit == "required")
        roster = Roster(tmp_path, chosen.least_sample_size, predictor=champions)
        ring = KeyRing(store)
        ring.refresh()
        access = Access(ring, chosen.most_per_minute)
        app, state = opened.enter_context(lend_app())
        state.parts = Parts(chosen, roster, access, recorder, metrics, Grouping(roster))
        made = TestClient(app, f"http://{host}", client=client, raise_server_exceptions=False)
        opened.callback(lambda: asyncio.run(writer.close()))
        opened.callback(made.close)
        made.service = state
        return made

    with opened:
        yield make


@pytest.fixture
def make_key(store):
    """Make a key in the store and return its token."""

    def make(*scopes, **facts):
        return KeyStore(store).create("test", scopes, datetime.now(UTC), **facts).token

    return make


@dataclass(frozen=True)
class Running:
    """A real service, as its clients see it."""

    home: Path
    port: int
    log: Path
    process: object

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, body=None, method=None, tls=None, **headers):
        """Make one request; returns status, headers and content."""
        made = {"connection": "close", "content-type": "application/json"}
        made |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = HTTPConnection if tls is None else HTTPSConnection
        named = {} if tls is None else {"context": tls}
        connection = kind("127.0.0.1", self.port, timeout=30, **named)
        try:
            connection.request(method or ("POST" if body else "GET"), path, content, made)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def predict(self, **changes):
        person = {"patient_id": "a17", "condition": "depression", "phq9": 17} | changes
        status, _, content = self.ask("/predict", person)
        return status, json.loads(content)

    def connect(self, data=b""):
        """Open a raw connection and send some bytes."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        try:
            opened.sendall(data)
        except OSError:
            opened.close()
            raise
        return opened

    def read_log(self):
        return self.log.read_text()


def read_answer(connection):
    """Read one answer from a connection: status, headers and content."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.getheaders()), response.read()


@pytest.fixture(scope="session")
def read_one():
    """Read one answer from a raw connection."""
    return read_answer


@pytest.fixture(scope="session")
def store_champion(make_champion, tmp_path_factory):
    """Put a champion made by hand into a home's model store, as `pull` does; returns its tag."""

    def store(home, version="1", name="phq9.acute.response", **facts):
        folder = home / "bentoml" / "models"
        folder.mkdir(parents=True, exist_ok=True)
        target = tmp_path_factory.mktemp("model") / "model"
        digest = make_champion(name, **facts).model.save(target)
        BentoMLContainer.model_store.set(ModelStore(folder))
        try:
            return store_model(target, name, version, digest)
        finally:
            BentoMLContainer.model_store.reset()

    return store


@pytest.fixture(scope="module")
def start_service(make_commands, store_champion, wait_ready, tmp_path_factory):
    """Starts real services, each in a home with one champion, until the module ends."""
    from experiments.demo import find_free_port

    started = []

    def start(*arguments, home=None, ready="/readyz", **environment):
        if home is None:
            home = tmp_path_factory.mktemp("home")
            store_champion(home)
        port, log = find_free_port(), home / "service.log"
        command = ("serving", "serve", "--port", port, *arguments)
        process = make_commands(home).start(*command, log=log, **environment)
        started.append(process)
        if ready:
            wait_ready(process, f"http://127.0.0.1:{port}{ready}")
        return Running(home, port, log, process)

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=30)
