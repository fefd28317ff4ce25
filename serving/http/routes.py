"""The routes, and what each needs."""

from serving.base.bodies import FORM_TYPE
from serving.http import answers
from serving.http.access import ANY_SCOPE, OPEN
from serving.http.endpoint import Endpoint, Route
from serving.page.page import PAGE_FILES

HTML, TEXT = "text/html", "text/plain"
ROUTES = (
    Route("GET", "/", answers.show_page, OPEN, "The clinician's page", gives=HTML),
    # The key may stand in the form, so that the handler itself asks for it.
    Route("POST", "/", answers.answer_page, OPEN, "The page with an estimate", FORM_TYPE, HTML),
    Route(
        *("POST", "/predict", answers.predict, "predict"),
        *("Answer one assessment", "Assessment", "Answer"),
    ),
    Route(
        *("POST", "/predict_batch", answers.predict_batch, "batch"),
        *("Answer many assessments", "Batch", "BatchAnswer"),
    ),
    Route("GET", "/model", answers.show_models, ANY_SCOPE, "All champions' cards", gives="Cards"),
    Route("GET", "/docs.json", answers.show_api, OPEN, "This document", gives="Document"),
    Route(
        *("GET", "/metrics", answers.show_metrics, "admin", "Metrics for Prometheus"),
        gives=TEXT,
        limited=False,
    ),
    Route(
        *("GET", "/readyz", answers.show_readiness, None, "Whether the service can answer"),
        gives="Readiness",
        limited=False,
    ),
    *(
        Route("GET", path, answers.show_life, None, "Whether the process lives", "", TEXT, False)
        for path in ("/livez", "/healthz")
    ),
    *(
        Route("GET", f"/page/{name}", answers.show_file, OPEN, "A file of the page", gives=kind)
        for name, kind in PAGE_FILES.items()
    ),
)


def build_endpoint() -> Endpoint:
    """Build the application; the service gives it its parts once it has started."""
    routes: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        routes.setdefault(route.path, {})[route.method] = route
    return Endpoint(routes)
