"""The OpenAPI document, built from the routes and the types of their bodies."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from features import __version__
from features.dictionary.dictionary import Dictionary
from features.records.assessment import make_assessment_model
from serving.base.bodies import FORM_TYPE, HTML_TYPE, JSON_TYPE
from serving.http.access import OPEN
from serving.http.contract import EXAMPLE, AssessmentBody, Errors, Readiness

if TYPE_CHECKING:  # a route shows this document
    from serving.http.routes import Route

REFERENCE = "#/components/schemas/{model}"
BODY_REFUSALS = {
    "400": "the body breaks a rule",
    "408": "the body did not arrive in time",
    "413": "the body is too large",
    "415": "the body is of another type",
}
KEY_REFUSALS = {
    "401": "no valid key",
    "403": "the key lacks the scope; without keys, the request is not from this machine",
    "429": "too many requests with this key",
}
FAILURES = {"503": "unavailable; retry after `Retry-After` seconds", "500": "the service failed"}
REQUIRED_TEXT = {"required": True, "schema": {"type": "string"}}
HEADERS = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",)}
KEY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "`Authorization: Bearer kr_…`. As long as no key exists, requests from this "
    "machine need none and others are rejected.",
}


@lru_cache(maxsize=4)
def describe_api(routes: tuple["Route", ...], dictionary: Dictionary) -> dict[str, Any]:
    """Describe every route in OpenAPI 3.1, with the fields of a dictionary."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _describe_route(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ketamine Response",
            "version": __version__,
            "description": "Prognosis if treated: not the benefit of treatment, and no reason to "
            "refuse care.",
        },
        "paths": paths,
        "components": {
            "schemas": _list_schemas(routes, dictionary),
            "securitySchemes": {"key": KEY_SCHEME},
        },
    }


def _describe_route(route: "Route") -> dict[str, Any]:
    refused = BODY_REFUSALS if route.takes else {}
    if route.scope is not None:
        refused = refused | KEY_REFUSALS | FAILURES
    answers = {status: _describe_body(reason, Errors) for status, reason in refused.items()}
    if route.gives is Readiness:
        answers["503"] = _describe_body("the service cannot answer", Readiness)
    if route.gives == HTML_TYPE:
        # The page shows errors of the key itself.
        for status in KEY_REFUSALS:
            answers[status]["content"] |= _describe_body("", HTML_TYPE)["content"]
    responses = {"200": _describe_body(route.summary, route.gives), **answers}
    for status, response in responses.items():
        names = ("X-Request-ID", *HEADERS.get(status, ()))
        response["headers"] = dict.fromkeys(names, REQUIRED_TEXT)
    described: dict[str, Any] = {
        "operationId": route.method.lower() + route.path.replace("/", "_").replace(".", "_"),
        "summary": route.summary,
        "responses": responses,
    }
    if route.takes:
        body = _describe_body("", route.takes)["content"]
        described["requestBody"] = {"required": True, "content": body}
    if route.scope not in (None, OPEN):
        described["security"] = [{"key": []}]
        described["x-scope"] = route.scope
    return described


def _describe_body(description: str, kind: Any) -> dict[str, Any]:
    if isinstance(kind, str):
        form = {"type": "object", "additionalProperties": {"type": "string"}}
        schema: dict[str, Any] = form if kind == FORM_TYPE else {"type": "string"}
        return {"description": description, "content": {kind: {"schema": schema}}}
    name = "Assessment" if kind is AssessmentBody else kind.__name__
    schema = {"$ref": REFERENCE.format(model=name)}
    return {"description": description, "content": {JSON_TYPE: {"schema": schema}}}


def _list_schemas(routes: Sequence["Route"], dictionary: Dictionary) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    bodies = [body for route in routes for body in (route.takes, route.gives)]
    for kind in (Errors, *bodies):
        if kind not in (None, AssessmentBody) and not isinstance(kind, str):
            schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE)
            schemas |= {**schema.pop("$defs", {}), kind.__name__: schema}
    items = {"$ref": REFERENCE.format(model="Assessment")}
    schemas["Batch"]["properties"]["assessments"]["items"] = items
    assessment = make_assessment_model(dictionary).model_json_schema()
    return schemas | {"Assessment": assessment | {"examples": [EXAMPLE]}}
