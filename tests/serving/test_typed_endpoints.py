"""The typed endpoints as users of BentoML call them: by client, in process, from a service."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import bentoml
import pytest
import warm_python
from bentoml.exceptions import BentoMLException
from starlette.testclient import TestClient

from serving.service import ResponseService

ROOT = Path(__file__).parents[2]
# Installed by `make test` in its own environment.
GENERATOR = ROOT / ".venv" / "openapi-client" / "bin" / "openapi-python-client"
IN_PROCESS = """
import asyncio, gc, json, logging, sys
import bentoml
from serving.service import ResponseService

logging.basicConfig(level=logging.WARNING)

def look_at_host():
    logger = logging.getLogger()
    state = logger.handlers, logger.level, logging.raiseExceptions, logging._srcfile
    return [str(part) for part in (*state, gc.get_threshold(), sys.excepthook)]

before = look_at_host()

@bentoml.service
class Gateway:
    estimates = bentoml.depends(ResponseService)

    async def ask(self, assessment):
        return await self.estimates.predict(assessment)

async def ask():
    service, person = ResponseService(), json.loads(sys.argv[1])
    direct = await service.predict(person)
    batch = await service.predict_batch({"assessments": [person, {}]})
    depending = await Gateway().ask(person)
    rows = [direct.estimates, depending.estimates, *(row.get("estimates") for row in batch.results)]
    probabilities = [rows and rows[0]["probability"] for rows in rows]
    print(json.dumps([*probabilities, look_at_host() == before]))

asyncio.run(ask())
"""
GENERATED = """
import json, sys
from client import Client
from client.api.default import post_predict
from client.models import Assessment

client = Client(base_url=sys.argv[1])
answer = post_predict.sync(client=client, body=Assessment.from_dict(json.loads(sys.argv[2])))
print(answer.estimates[0].probability)
"""


@pytest.fixture(scope="module")
def service(start_service):
    return start_service()


@pytest.fixture
def expected(service, make_assessment):
    """The probability in the answer to a plain request."""
    return read_probability(service.predict(**make_assessment())[1])


def read_probability(answer):
    return answer["estimates"][0]["probability"]


def run_python(script, *arguments, cwd=ROOT, **environment):
    command = [*warm_python.COMMAND, "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_sync_client_gets_estimates(service, make_assessment, expected):
    with bentoml.SyncHTTPClient(service.address) as client:
        assert read_probability(client.predict(make_assessment())) == pytest.approx(expected)
        misspelt = make_assessment() | {"phq_9": 17}
        batch = client.predict_batch({"assessments": [make_assessment(), {}, misspelt]})
    answered, *rejected = batch["results"]
    assert read_probability(answered) == pytest.approx(expected)
    rules = [{error["rule"] for error in row["errors"]} for row in rejected]
    assert rules == [{"required"}, {"unknown"}]


def test_async_client_gets_estimates(service, make_assessment, expected):
    async def ask():
        async with bentoml.AsyncHTTPClient(service.address) as client:
            return await client.predict(make_assessment())

    assert read_probability(asyncio.run(ask())) == pytest.approx(expected)


def test_client_reports_errors_without_values(service, make_assessment):
    with (
        bentoml.SyncHTTPClient(service.address) as client,
        pytest.raises(BentoMLException) as caught,
    ):
        client.predict(make_assessment(age=987))
    assert '"rule":"range"' in str(caught.value)
    assert "987" not in str(caught.value)


def test_pickled_requests_are_rejected(service):
    """BentoML's services accept pickles from each other; this one does not."""
    status, _, content = service.ask(
        "/predict", b"\x80\x04}.", content_type="application/vnd.bentoml+pickle"
    )
    assert status == 415
    assert json.loads(content)["errors"][0]["field"] == "content-type"


def test_another_service_depends_on_its_address(service, make_assessment, expected):
    @bentoml.service
    class Gateway:
        estimates = bentoml.depends(ResponseService, url=service.address)

        @bentoml.api
        async def ask(self, assessment: dict[str, Any], /) -> float:
            return read_probability(vars(await self.estimates.predict(assessment)))

    with TestClient(Gateway.to_asgi()) as client:
        answer = client.post("/ask", json=make_assessment())
    assert answer.json() == pytest.approx(expected)


def test_calls_in_process_get_estimates(service, make_assessment, expected):
    """Direct calls, batches, and a service that depends on ours and runs it.

    The log and the garbage collector of the process stay the host's.
    """
    environment = {
        "KETAMINE_RESPONSE_HOME": str(service.home),
        "BENTOML_HOME": str(service.home / "bentoml"),
    }
    direct, depending, row, rejected, same_host = run_python(
        IN_PROCESS, json.dumps(make_assessment()), **environment
    )
    assert [direct, depending, row] == pytest.approx([expected] * 3)
    assert rejected is None
    assert same_host


def test_schema_and_document_describe_typed_endpoints(service):
    schema, document = (json.loads(service.ask(path)[2]) for path in ("/schema.json", "/docs.json"))
    routes = {route["name"]: route for route in schema["routes"]}
    assert set(routes) == {"predict", "predict_batch"}
    described = document["components"]["schemas"]["Assessment"]["properties"]
    assert set(routes["predict"]["input"]["properties"]) == set(described)
    assert {"/predict", "/predict_batch"} <= set(document["paths"])


def test_generated_openapi_client_gets_estimates(service, make_assessment, expected, tmp_path):
    if not GENERATOR.exists():
        pytest.skip("NO OPENAPI GENERATOR: `make test` installs openapi-python-client")
    (tmp_path / "docs.json").write_bytes(service.ask("/docs.json")[2])
    command = [GENERATOR, "generate", "--path", "docs.json", "--meta", "none"]
    command += ["--output-path", "client"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    printed = run_python(GENERATED, service.address, json.dumps(make_assessment()), cwd=tmp_path)
    assert printed == pytest.approx(expected)
