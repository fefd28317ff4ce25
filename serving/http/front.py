"""The front: requests go to our application at once, and BentoML keeps the rest.

BentoML runs and restarts the processes, starts and stops the service in them, keeps its models and
bundles it. What it puts around each request (a task and a timer for its deadline, metrics by path,
a span) costs about as much time as an estimate, and the application has its own deadline, metrics
and request ids. Only where tracing is asked for do requests take the way through BentoML.
"""

from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.base.home import read_environment
from serving.http.connection import limit_connections

# Where BentoML has routes of its own, which say less and have no headers.
ALWAYS_OURS = ("/livez", "/healthz", "/readyz", "/metrics")
TRACING_OFF = "OTEL_SDK_DISABLED"


class Front:
    """Sends each request where it is answered.

    Parameters
    ----------
    ours
        The application.
    traced
        Whether requests take the way through BentoML, for its traces.
    """

    def __init__(self, ours: ASGIApp, bento: ASGIApp, traced: bool) -> None:
        self.ours = ours
        self.bento = bento
        self.traced = traced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        asked = scope["type"] == "http"
        traced = asked and self.traced and scope["path"] not in ALWAYS_OURS
        if traced or scope["type"] == "lifespan":
            await self.bento(scope, receive, send)
        else:
            await self.ours(scope, receive, send)


class FrontedService(bentoml.Service[Any]):  # type: ignore[misc]
    """A BentoML service whose mounted application is asked first."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Build the application of one process."""
        limit_connections()
        ours = self.mount_apps[0][0]
        traced = read_environment().get(TRACING_OFF, "").lower() == "false"
        return Front(ours, super().to_asgi(is_main), traced)
