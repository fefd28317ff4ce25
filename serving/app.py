"""The web application that BentoML mounts: routes, strict bodies, one form of error."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.assessment import parse_rows
from features.errors import Problem
from serving.bodies import (
    FORM_TYPE,
    RequestError,
    parse_json,
    read_body,
    refuse,
    require_object,
)
from serving.openapi import describe_api
from serving.page import PAGE_FOLDER, parse_form, render_page
from serving.predictor import Predictor
from serving.settings import ServingSettings

SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; form-action 'self'; "
     b"img-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)  # fmt: skip
LOOPBACK = ("127.", "::1", "testclient", "localhost")


async def predict(request: Request) -> Response:
    """Answer one assessment."""
    body = await read_body(request, get_settings(request).most_body_bytes)
    assessment = require_object(parse_json(body), "body")
    columns, problems = parse_rows([assessment])
    if problems:
        raise RequestError(400, [replace(problem, rows=()) for problem in problems])
    return answer(get_predictor(request).estimate(columns)[0])


async def predict_batch(request: Request) -> Response:
    """Answer many assessments; a bad one has its errors in its own place."""
    settings = get_settings(request)
    body = await read_body(request, settings.most_body_bytes)
    given = require_object(parse_json(body), "body")
    rows = given.get("assessments")
    if not isinstance(rows, list) or len(given) != 1:
        refuse(400, "assessments", "required", "must be the only name, with a list of assessments")
    if len(rows) > settings.most_assessments:
        refuse(400, "assessments", "length", f"must be at most {settings.most_assessments}")
    return answer({"results": answer_rows(get_predictor(request), rows)})


def answer_rows(predictor: Predictor, rows: list[Any]) -> list[dict[str, Any]]:
    """Answer the valid rows, and give the others their errors."""
    objects = [row if isinstance(row, dict) else {} for row in rows]
    columns, problems = parse_rows(objects)
    errors = sort_by_row(problems)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            errors[number] = [Problem("assessment", "type", "must be an object")]
    valid = np.array([number not in errors for number in range(1, len(rows) + 1)], dtype=bool)
    answers = iter(predictor.estimate(columns.select(valid)))
    return [
        {"errors": [problem.as_dict() for problem in errors[number]]}
        if number in errors
        else next(answers)
        for number in range(1, len(rows) + 1)
    ]


def sort_by_row(problems: list[Problem]) -> dict[int, list[Problem]]:
    """Give each row its own problems."""
    sorted_problems: dict[int, list[Problem]] = {}
    for problem in problems:
        for row in problem.rows:
            sorted_problems.setdefault(row, []).append(replace(problem, rows=()))
    return sorted_problems


async def show_models(request: Request) -> Response:
    """Return the cards of all champions."""
    champions = get_predictor(request).champions
    cards = [
        {
            "version": champion.version,
            "digest": champion.model.digest,
            **champion.model.card.model_dump(mode="json"),
        }
        for champion in champions
    ]
    return JSONResponse({"models": cards})


async def show_api(request: Request) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(describe_api())


async def show_page(request: Request) -> Response:
    """Show the clinician's page, empty."""
    return HTMLResponse(render_page(get_predictor(request)))


async def answer_page(request: Request) -> Response:
    """Show the clinician's page with an estimate, or with what must be corrected."""
    body = await read_body(request, get_settings(request).most_body_bytes, FORM_TYPE)
    entered = parse_form(body)
    return HTMLResponse(render_page(get_predictor(request), entered))


def answer(result: Mapping[str, Any]) -> Response:
    """Answer with a request id first."""
    return JSONResponse({"request_id": secrets.token_hex(16), **result})


def get_predictor(request: Request) -> Predictor:
    """Get the predictor that the service loaded."""
    predictor: Predictor = request.app.state.predictor
    return predictor


def get_settings(request: Request) -> ServingSettings:
    """Get the settings that the service read."""
    settings: ServingSettings = request.app.state.settings
    return settings


async def show_request_error(request: Request, error: Exception) -> Response:
    """Answer a request that was refused."""
    if not isinstance(error, RequestError):
        raise error
    problems = [problem.as_dict() for problem in error.problems]
    return JSONResponse({"errors": problems}, status_code=error.status)


async def show_http_error(request: Request, error: Exception) -> Response:
    """Answer a wrong path or method."""
    if not isinstance(error, HTTPException):
        raise error
    problem = Problem("path", str(error.status_code), error.detail)
    return JSONResponse(
        {"errors": [problem.as_dict()]}, status_code=error.status_code, headers=error.headers
    )


async def show_failure(request: Request, error: Exception) -> Response:
    """Answer when something is wrong with the service itself; no trace leaves the process."""
    problem = Problem("service", "internal", "the service failed; the request was not answered")
    return JSONResponse({"errors": [problem.as_dict()]}, status_code=500)


class Guard:
    """Security headers on every answer; and no answer to other machines.

    There are no keys yet, so only this machine may ask.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS]
            await send(message)

        client = (scope.get("client") or ("",))[0]
        if client and not client.startswith(LOOPBACK):
            problem = Problem("client", "loopback", "without keys only this machine may ask")
            refusal = JSONResponse({"errors": [problem.as_dict()]}, status_code=403)
            await refusal(scope, receive, send_guarded)
            return
        await self.app(scope, receive, send_guarded)


def build_app() -> Starlette:
    """Build the application; the service puts its predictor and settings into its state."""
    return Starlette(
        routes=[
            Route("/", show_page, methods=["GET"]),
            Route("/", answer_page, methods=["POST"]),
            Route("/predict", predict, methods=["POST"]),
            Route("/predict_batch", predict_batch, methods=["POST"]),
            Route("/model", show_models, methods=["GET"]),
            Route("/docs.json", show_api, methods=["GET"]),
            Mount("/page", StaticFiles(directory=Path(PAGE_FOLDER)), name="page"),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={
            RequestError: show_request_error,
            HTTPException: show_http_error,
            Exception: show_failure,
        },
    )
