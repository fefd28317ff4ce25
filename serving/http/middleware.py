"""ASGI middleware of every request: its route, the capacity, its key and its body are checked.

Errors are answered here: the server around it would log too much of them.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base.bodies import JSON_TYPE, parse_json, read_body
from serving.base.exchange import (
    CLOSE,
    CURRENT,
    NO_ROUTE,
    RETRY_AFTER,
    SECURITY_HEADERS,
    Exchange,
    refuse,
)
from serving.base.logs import log_request
from serving.http.access import read_token
from serving.http.contract import describe_endpoints
from serving.http.parts import Parts, State, answer_failure
from serving.http.routes import ROUTES, Route
from serving.page.page import read_cookie

ROUTES_BY_PATH: dict[str, dict[str, Route]] = {}
for _route in ROUTES:
    ROUTES_BY_PATH.setdefault(_route.path, {})[_route.method] = _route
# Requested every few seconds by machines: counted, but not logged.
PROBES = ("/livez", "/healthz", "/readyz", "/metrics")
TOO_LARGE = 413
# As nginx has it: the client closed the connection before it was answered.
CLIENT_CLOSED = 499
# What BentoML adds to a response: it names the software, and has a request id of its own.
FOREIGN_HEADERS = (b"server", b"x-bentoml-request-id", b"x-bentoml-trace-id")


def add_request_middleware(service: Any) -> None:
    """Put the middleware before a BentoML service; its instances share the state as ``state``."""
    state = State(describe=lru_cache(maxsize=4)(partial(describe_endpoints, service)))
    service.inner.state = state
    service.add_asgi_middleware(RequestMiddleware, state=state)


class RequestMiddleware:
    """Checks requests before BentoML's application, or an endpoint of ours, answers them."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app = app
        # Shared with the service, which gives it its parts once it has started.
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one connection: only requests are checked, and web sockets are closed."""
        if scope["type"] == "http":
            await self._pass_request(scope, receive, send)
        elif scope["type"] == "websocket":
            # Left alone, it would hold its connection for ever.
            await send({"type": "websocket.close"})
        else:
            await self.app(scope, receive, send)

    async def _pass_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = ROUTES_BY_PATH.get(scope["path"], {})
        # Unknown paths share one name, so that a client cannot add series to the metrics.
        exchange = Exchange(scope["path"] if methods else NO_ROUTE, scope["method"])
        self.state.in_flight += 1
        try:
            await self._answer(Request(scope, receive), exchange, methods, _finish(send, exchange))
        except ClientDisconnect:
            if self.state.parts is not None:
                self.state.parts.metrics.in_flight.set(self.state.in_flight - 1)
            # The server drops it, but BentoML would wait for a response until its timeout.
            await send({"type": "http.response.start", "status": CLIENT_CLOSED, "headers": []})
            return
        finally:
            self.state.in_flight -= 1
        if (parts := self.state.parts) is not None:
            parts.metrics.note_request(exchange, self.state.in_flight)
            if parts.settings.log_requests and exchange.route not in PROBES:
                log_request(exchange)

    async def _answer(
        self, request: Request, exchange: Exchange, methods: Mapping[str, Route], send: Send
    ) -> None:
        try:
            route = _choose_route(exchange.method, methods)
            parts = self._admit(request, exchange, route)
            if parts is not None and route.takes:
                exchange.body = await read_body(request, parts.settings, route.content_type)
                if route.content_type == JSON_TYPE:
                    exchange.content = parse_json(exchange.body)
            # BentoML's own `/readyz` comes before what is mounted, and knows of no champions.
            app = self.app
            if route.endpoint is not None:
                app = await route.endpoint(request, exchange, self.state)
            token = CURRENT.set(exchange)
            try:
                await app(request.scope, request.receive, send)
            finally:
                CURRENT.reset(token)
        except ClientDisconnect:
            raise
        except Exception as error:
            metrics = self.state.parts.metrics if self.state.parts else None
            response = answer_failure(error, exchange, metrics)
            # Once a response has begun, no other can be sent.
            if not exchange.status:
                if response.status_code == TOO_LARGE and self.state.parts is not None:
                    send = _drop_rest(request.receive, send, self.state.parts.settings.body_seconds)
                await response(request.scope, request.receive, send)

    # Probes pass even before the service has started.
    def _admit(self, request: Request, exchange: Exchange, route: Route) -> Parts | None:
        if route.limited:
            most = self.state.require_parts().settings.most_in_flight
            if self.state.in_flight > most:
                busy = "too many concurrent requests; retry"
                refuse(503, "service", "busy", busy, RETRY_AFTER | CLOSE)
        if route.scope is not None:
            parts = self.state.require_parts()
            parts.access.admit(request, exchange, route.scope, _find_token(request))
        return self.state.parts


def _finish(send: Send, exchange: Exchange) -> Send:
    async def send_finished(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = [pair for pair in message["headers"] if pair[0] not in FOREIGN_HEADERS]
            identity = (b"x-request-id", exchange.id.encode())
            message = {**message, "headers": [*headers, identity, *SECURITY_HEADERS]}
        elif exchange.method == "HEAD":
            message = {**message, "body": b""}
        await send(message)

    return send_finished


# Closed with unread bytes, a connection is reset, and a client that is still sending may lose the
# answer. So the rest of the body is read before (RFC 9112, 9.6), for as long as any body may take.
def _drop_rest(receive: Receive, send: Send, seconds: float) -> Send:
    async def send_and_drop(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while (await receive()).get("more_body"):
                        pass
            message = {**message, "body": b""}
        await send(message)

    return send_and_drop


def _choose_route(method: str, methods: Mapping[str, Route]) -> Route:
    if not methods:
        refuse(404, "path", "404", "Not Found")
    method = "GET" if method == "HEAD" else method
    if method not in methods:
        refuse(405, "path", "405", "Method Not Allowed", {"allow": ", ".join(methods)})
    return methods[method]


# Browsers add the cookie by themselves, so it is valid only for requests that change nothing.
def _find_token(request: Request) -> str:
    token = read_token(request)
    return read_cookie(request) if not token and request.method == "GET" else token
