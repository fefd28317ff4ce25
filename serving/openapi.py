"""The OpenAPI document, built from the field registry and the contract."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from features import __version__
from features.assessment import Assessment
from features.contract import Estimate, ModelCard
from features.eligibility import Notice

EXAMPLE = {
    "patient_id": "a17",
    "condition": "depression",
    "age": 44,
    "sex": "female",
    "phq9": 17,
    "agent": "ketamine",
    "route": "iv",
}
REFUSALS = {"400": "the body breaks a rule", "413": "the body is too large", "415": "not JSON"}


@cache
def describe_api() -> dict[str, Any]:
    """Describe every route in OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ketamine Response",
            "version": __version__,
            "description": "Prognosis if treated; not treatment benefit, not a refusal of care.",
        },
        "paths": {
            "/predict": {"post": describe_post("one assessment", "Assessment", "Answer")},
            "/predict_batch": {"post": describe_post("many assessments", "Batch", "BatchAnswer")},
            "/model": {"get": describe_get("The cards of all champions", "Cards")},
        },
        "components": {"schemas": list_schemas()},
    }


def describe_post(what: str, taken: str, given: str) -> dict[str, Any]:
    """Describe a route that answers assessments."""
    refused = {status: describe_answer(why, "Errors") for status, why in REFUSALS.items()}
    return {
        "summary": f"Answer {what}",
        "requestBody": {"required": True, "content": describe_json(taken)},
        "responses": {"200": describe_answer("estimates", given), **refused},
    }


def describe_get(summary: str, given: str) -> dict[str, Any]:
    """Describe a route that only answers."""
    return {"summary": summary, "responses": {"200": describe_answer(summary, given)}}


def describe_answer(description: str, schema: str) -> dict[str, Any]:
    """Describe one answer."""
    return {"description": description, "content": describe_json(schema)}


def describe_json(schema: str) -> dict[str, Any]:
    """Describe a JSON body."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def list_schemas() -> dict[str, Any]:
    """List every schema, nested ones included."""
    assessment = Assessment.model_json_schema() | {"examples": [EXAMPLE]}
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
        "Batch": make_object({"assessments": make_list("Assessment")}),
        "BatchAnswer": make_object(identified | {"results": {"type": "array", "items": rows}}),
        "Cards": make_object({"models": make_list("ModelCard")}),
        "Errors": make_object({"errors": errors}),
    }


def make_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Make the schema of an object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def make_list(schema: str) -> dict[str, Any]:
    """Make the schema of a list."""
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}
