"""Our predictor behind FastAPI, as a careful engineer would serve it: no BentoML, audit or key."""

from typing import Any

import orjson
from fastapi import Body, FastAPI, Response

from features.base.home import enter_home
from features.records.assessment import parse_rows


def build_predictor_app() -> FastAPI:
    """Build the application with the champions in BentoML's model store."""
    enter_home()
    from serving.base.settings import read_settings
    from serving.estimates.predictor import Predictor
    from serving.models.models import load_champions

    predictor = Predictor(load_champions(), read_settings().least_sample_size)
    app = FastAPI(openapi_url=None)

    @app.get("/readyz")
    async def answer_ready() -> None:
        """Answer once the application runs."""

    @app.post("/predict")
    async def predict(assessment: dict[str, Any] = Body()) -> Response:  # noqa: B008
        """Answer one assessment."""
        columns, problems = parse_rows([assessment])
        if problems:
            errors = {"errors": [problem.as_dict() for problem in problems]}
            return Response(orjson.dumps(errors), 400, media_type="application/json")
        answer = orjson.dumps(predictor.estimate(columns)[0])
        return Response(answer, media_type="application/json")

    return app
