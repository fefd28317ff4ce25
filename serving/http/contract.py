"""The contract: what each route takes and gives, as types that BentoML and OpenAPI describe.

BentoML would validate a body with pydantic and derive its JSON schema again for each request, which
takes several times as long as the estimate, and would log and report errors in its own way. These
types pass on the JSON that the middleware has read; ``parse_rows`` applies an assessment's rules.
"""

import asyncio
from typing import Any, ClassVar, Literal

import bentoml
import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from features.dictionary.dictionary import Dictionary, load_dictionary
from features.model.card import ModelCard
from features.model.estimate import Estimate
from features.records.assessment import make_assessment_model
from features.records.eligibility import Notice
from serving.base.bodies import JSON_TYPE
from serving.base.exchange import CURRENT
from serving.estimates.predictor import DETAILS, Detail

EXAMPLE = {
    "patient_id": "a17",
    "condition": "depression",
    "age": 44,
    "sex": "female",
    "phq9": 17,
    "agent": "ketamine",
    "route": "iv",
}
# Results written to JSON at a time, in some 2 ms; other requests are served in between.
WRITTEN_TOGETHER = 512


class RequestBody(bentoml.IODescriptor):  # type: ignore[misc]
    """Base of request bodies: over HTTP the middleware has read, limited and parsed them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    # The whole body is the argument of the method, not an object that names it.
    __root_input__: ClassVar[bool] = True

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        """Return the parsed JSON, not validated yet."""
        exchange = CURRENT.get()
        return None if exchange is None else exchange.content


class AssessmentBody(RequestBody, make_assessment_model(load_dictionary())):  # type: ignore[misc]
    """One assessment; champions may know further instruments, so that other names pass."""

    model_config = ConfigDict(extra="allow", title="Assessment")


class Batch(RequestBody):
    """Many assessments; those that break a rule get their errors as results."""

    assessments: list[dict[str, Any]]
    detail: Detail = Field(
        default=DETAILS[0],
        description="brief leaves out interval, effective sample size, factors and imputed "
        "fields, and so is shorter and faster",
    )


def list_names(body: Any) -> Any:
    """Return the names and values of a body: parsed JSON, or an instance made in process."""
    return body.model_dump(exclude_unset=True) if isinstance(body, BaseModel) else body


class Answer(bentoml.IODescriptor):  # type: ignore[misc]
    """The estimates of one assessment."""

    request_id: str
    estimates: list[Estimate]
    eligibility: list[Notice]

    @classmethod
    async def to_http_response(cls, answer: Any, serde: Any) -> Response:
        """Write the answer."""
        return Response(orjson.dumps(vars(answer)), media_type=JSON_TYPE)


class ErrorPart(TypedDict):
    """One rule that a field breaks."""

    field: str
    rule: str
    message: str


class Errors(TypedDict):
    """Why a request, or one assessment of a batch, is rejected."""

    errors: list[ErrorPart]


class AnswerPart(TypedDict):
    """One answered assessment of a batch."""

    estimates: list[Estimate]
    eligibility: list[Notice]


def _offer_one_of(schema: dict[str, Any]) -> None:
    # Of `anyOf` BentoML's clients read the first kind only, and would drop the errors of a row.
    result = schema["properties"]["results"]["items"]
    result["oneOf"] = result.pop("anyOf")


class BatchAnswer(bentoml.IODescriptor):  # type: ignore[misc]
    """The results of a batch, in its order."""

    model_config = ConfigDict(json_schema_extra=_offer_one_of)

    request_id: str
    results: list[AnswerPart | Errors]

    @classmethod
    async def to_http_response(cls, answer: Any, serde: Any) -> Response:
        """Write the results piece by piece, so that no other request waits for all of them."""
        pieces: list[bytes | memoryview] = []
        for start in range(0, len(answer.results), WRITTEN_TOGETHER):
            written = orjson.dumps(answer.results[start : start + WRITTEN_TOGETHER])
            # A view: slicing off the brackets would copy the piece.
            pieces += [b",", memoryview(written)[1:-1]]
            # Lets requests run that arrived meanwhile.
            await asyncio.sleep(0)
        head = b'{"request_id":%b,"results":[' % orjson.dumps(answer.request_id)
        return Response(b"".join([head, *pieces[1:], b"]}"]), media_type=JSON_TYPE)


class Champion(ModelCard):
    """A champion: its card, with its version and digest in the model store."""

    version: str
    digest: str


class Cards(TypedDict):
    """The cards of all champions."""

    models: list[Champion]


class Document(TypedDict):
    """A description of the service."""


class Readiness(TypedDict):
    """Whether a service can answer, and what is wrong with it."""

    status: Literal["ready", "degraded", "unready"]
    reasons: list[str]


def describe_endpoints(service: Any, dictionary: Dictionary) -> dict[str, Any]:
    """Describe a service's endpoints for BentoML's clients, with the fields of a dictionary."""
    schema: dict[str, Any] = service.schema()
    inputs = {route["name"]: route["input"] for route in schema["routes"]}
    assessment = make_assessment_model(dictionary).model_json_schema()
    inputs["predict"]["properties"] = assessment["properties"]
    # The clients drop names of nested objects that the schema lacks; ours must reach the service,
    # which rejects what it does not know.
    inputs["predict_batch"]["properties"]["assessments"]["items"] = {"type": "object"}
    return schema
