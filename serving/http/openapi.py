"""The OpenAPI document, built from the field registry and the contract."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from features import __version__
from features.dictionary.dictionary import Dictionary
from features.model.card import ModelCard
from features.model.estimate import Estimate
from features.records.assessment import make_assessment_model
from features.records.eligibility import Notice
from serving.base.bodies import FORM_TYPE, JSON_TYPE
from serving.estimates.predictor import DETAILS
from serving.http.access import OPEN
from serving.http.endpoint import Route

HTML = "text/html"
EXAMPLE = {
    "patient_id": "a17",
    "condition": "depression",
    "age": 44,
    "sex": "female",
    "phq9": 17,
    "agent": "ketamine",
    "route": "iv",
}
BODY_REFUSALS = {
    "400": "the body breaks a rule",
    "408": "the body does not arrive",
    "413": "the body is too large",
    "415": "the body is of another type",
}
KEY_REFUSALS = {
    "401": "no key in force",
    "403": "a key that is not good for this; without keys, any other machine than this",
    "429": "too many requests with this key",
}
UNAVAILABLE = {"503": "not now; `Retry-After` says when"}
UNREADY = {"503": "it cannot answer"}
FAILED = {"500": "the service failed"}
HEADERS = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",)}
KEY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "`Authorization: Bearer kr_…`. Without any key this machine alone may ask, and "
    "needs none.",
}


def describe_api(
    routes: Mapping[str, Mapping[str, Route]], dictionary: Dictionary
) -> dict[str, Any]:
    """Describe every route in OpenAPI 3.1."""
    paths = {
        path: {method.lower(): describe_route(route) for method, route in methods.items()}
        for path, methods in routes.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ketamine Response",
            "version": __version__,
            "description": "Prognosis if treated; not treatment benefit, not a refusal of care.",
        },
        "paths": paths,
        "components": {"schemas": list_schemas(dictionary), "securitySchemes": {"key": KEY_SCHEME}},
    }


def describe_route(route: Route) -> dict[str, Any]:
    """Describe one route."""
    refused = list_refusals(route)
    answers = {status: describe_content(why, "Errors") for status, why in refused.items()}
    if route.gives == "Readiness":
        answers |= {status: describe_content(why, route.gives) for status, why in UNREADY.items()}
    if route.gives == HTML:
        # The page tells of a wrong key itself.
        for status in KEY_REFUSALS:
            answers[status]["content"] |= describe_content("", HTML)["content"]
    responses = {"200": describe_content(route.summary, route.gives), **answers}
    for status, response in responses.items():
        response["headers"] = describe_headers(status)
    described: dict[str, Any] = {"summary": route.summary, "responses": responses}
    if route.takes:
        body = describe_content("", route.takes)["content"]
        described["requestBody"] = {"required": True, "content": body}
    if route.scope not in (None, OPEN):
        described["security"] = [{"key": []}]
        described["x-scope"] = route.scope
    return described


def list_refusals(route: Route) -> dict[str, str]:
    """List with which statuses a route may refuse, and why."""
    refused = {} if route.scope is None else KEY_REFUSALS | UNAVAILABLE | FAILED
    return (BODY_REFUSALS if route.takes else {}) | refused


def describe_headers(status: str) -> dict[str, Any]:
    """Describe the headers on which a client may rely."""
    names = ("X-Request-ID", *HEADERS.get(status, ()))
    return {name: {"required": True, "schema": {"type": "string"}} for name in names}


def describe_content(description: str, kind: str) -> dict[str, Any]:
    """Describe a body, by the name of its schema or by its media type."""
    if "/" in kind:
        form = {"type": "object", "additionalProperties": {"type": "string"}}
        schema: dict[str, Any] = form if kind == FORM_TYPE else {"type": "string"}
        return {"description": description, "content": {kind: {"schema": schema}}}
    reference = {"$ref": f"#/components/schemas/{kind}"}
    return {"description": description, "content": {JSON_TYPE: {"schema": reference}}}


@lru_cache(maxsize=4)
def list_schemas(dictionary: Dictionary) -> dict[str, Any]:
    """List every schema, nested ones included."""
    assessment = make_assessment_model(dictionary).model_json_schema() | {"examples": [EXAMPLE]}
    parts = {"Assessment": assessment}
    for name, kind in (("Estimate", Estimate), ("Notice", Notice), ("ModelCard", ModelCard)):
        schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        parts |= schema.pop("$defs", {})
        parts[name] = schema
    problem = {"field": {"type": "string"}, "rule": {"type": "string"}}
    problem["message"] = {"type": "string"}
    errors = {"type": "array", "items": make_object(problem)}
    answers = {"estimates": make_list("Estimate"), "eligibility": make_list("Notice")}
    identified = {"request_id": {"type": "string"}}
    rows = {"anyOf": [make_object(answers), make_object({"errors": errors})]}
    return parts | {
        "Answer": make_object(identified | answers),
        "Batch": make_batch(),
        "BatchAnswer": make_object(identified | {"results": {"type": "array", "items": rows}}),
        "Cards": make_object({"models": make_list("Champion")}),
        "Champion": make_champion(parts["ModelCard"]),
        "Document": {"type": "object"},
        "Errors": make_object({"errors": errors}),
        "Readiness": make_object(
            {
                "status": {"enum": ["ready", "degraded", "unready"]},
                "reasons": {"type": "array", "items": {"type": "string"}},
            }
        ),
    }


def make_batch() -> dict[str, Any]:
    """Make the schema of a batch."""
    detail = {
        "enum": list(DETAILS),
        "default": DETAILS[0],
        "description": "brief leaves out interval, effective sample size, factors and imputed "
        "fields, and so is shorter and faster",
    }
    batch = make_object({"assessments": make_list("Assessment")})
    batch["properties"]["detail"] = detail
    return batch | {"additionalProperties": False}


def make_champion(card: Mapping[str, Any]) -> dict[str, Any]:
    """Make the schema of a champion: its card, with what the store knows of it."""
    known = make_object({"version": {"type": "string"}, "digest": {"type": "string"}})
    properties = known["properties"] | card["properties"]
    return {**card, "properties": properties, "required": known["required"] + card["required"]}


def make_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Make the schema of an object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def make_list(schema: str) -> dict[str, Any]:
    """Make the schema of a list."""
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}
