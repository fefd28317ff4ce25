"""The OpenAPI document: valid, and matched by a real service's answers."""

import json
import subprocess
import sys

import jsonschema
import pytest
from schemathesis.specs.openapi import definitions

from serving.http.routes import ROUTES

# Schemas cannot express rules between fields, and a batch reports a bad row in its result.
NOT_MEANT = {"/predict": "positive_data_acceptance", "/predict_batch": "negative_data_rejection"}
ROLES = ("predict", "batch", "admin")


@pytest.fixture(scope="module")
def service(start_service, store_champion, make_commands, tmp_path_factory):
    """A service that requires keys, and a key."""
    home = tmp_path_factory.mktemp("home")
    store_champion(home)
    scopes = [part for role in ROLES for part in ("--scope", role)]
    made = make_commands(home).run("serving", "keys", "create", "--name", "a", *scopes, "--json")
    environment = {"KETAMINE_RESPONSE_MOST_PER_MINUTE": "0"}
    return start_service(home=home, **environment), json.loads(made.stdout)["token"]


@pytest.fixture(scope="module")
def document(service):
    return json.loads(service[0].ask("/docs.json")[2])


def run_schemathesis(service, folder, token, *arguments):
    """Run schemathesis as a user would, in this folder; returns its exit code and report."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.address}/docs.json"]
    command += ["--checks", "all", "--seed", "7", "--max-examples", "10", "--no-color"]
    command += ["--generation-database", "none", "-H", f"Authorization: Bearer {token}"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_document_is_valid_openapi(document):
    definitions.OPENAPI_31_VALIDATOR.validate(document)


def test_every_schema_is_a_valid_json_schema(document):
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_document_has_every_route_and_its_statuses(document):
    described = {
        (method.upper(), path): set(operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(described) == {(route.method, route.path) for route in ROUTES}
    assert described["POST", "/predict"] == {
        *("200", "400", "401", "403", "408", "413", "415", "429", "500", "503")
    }
    assert described["GET", "/livez"] == {"200"}


@pytest.mark.parametrize("path", [*NOT_MEANT, None], ids=lambda path: path or "all others")
def test_a_real_service_answers_as_its_document_says(service, tmp_path, path):
    chosen = [part for excluded in NOT_MEANT for part in ("--exclude-path", excluded)]
    if path is not None:
        chosen = ["--include-path", path, "--exclude-checks", NOT_MEANT[path]]
        # Its third phase takes minutes over two hundred fields.
        chosen += ["--phases", "examples,fuzzing"]
    code, report = run_schemathesis(*[service[0], tmp_path, service[1]], *chosen)
    assert code == 0, report
    assert "Failures" not in report


def test_a_document_that_lies_is_found_out(service, tmp_path, document):
    lying = json.loads(json.dumps(document))
    lying["components"]["schemas"]["Readiness"]["properties"]["status"] = {"enum": ["fine"]}
    (tmp_path / "lying.json").write_text(json.dumps(lying))
    command = [sys.executable, "-m", "schemathesis.cli", "run", "lying.json", "--no-color"]
    command += ["--url", service[0].address, "--include-path", "/readyz", "--max-examples", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Response violates schema" in done.stdout


def test_nothing_failed_meanwhile(service):
    assert '"failure"' not in service[0].read_log()
