"""The BentoML service: it loads the champions and mounts the application."""

import gc

import bentoml

from serving.app import build_app
from serving.models import load_champions
from serving.predictor import Predictor
from serving.settings import read_settings

APP = build_app()
# Seconds; BentoML keeps a little of every request for that long.
DEADLINE = 5


@bentoml.service(
    name="ketamine_response",
    workers=1,
    traffic={"timeout": DEADLINE},
    logging={"access": {"enabled": False}},
    http={"cors": {"enabled": False}},
)
@bentoml.asgi_app(APP, path="/")
class ResponseService:
    """Estimates for one assessment or many, from the champions in BentoML's model store."""

    def __init__(self) -> None:
        settings = read_settings()
        champions = load_champions(list_own_models())
        APP.state.settings = settings
        APP.state.predictor = Predictor(champions, settings.least_sample_size)
        # What is loaded stays; collecting it again and again costs whole requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)


def list_own_models() -> list[str] | None:
    """List the models of the Bento that is running; None outside a Bento."""
    bento = getattr(ResponseService, "bento", None)
    return None if bento is None else [str(model.tag) for model in bento.info.all_models]
