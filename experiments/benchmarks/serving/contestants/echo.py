"""The upper bound: a BentoML service that reads an assessment and returns it.

It is tuned as ours is, so the difference between the two is ours, not BentoML's.
"""

import gc
from typing import Any

import bentoml


@bentoml.service(
    name="echo",
    workers=1,
    traffic={"timeout": 5},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    http={"cors": {"enabled": False}},
    tracing={"excluded_urls": ["."]},
)
class Echo:
    """Returns its input."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, assessment: dict[str, Any], /) -> dict[str, Any]:
        """Return the assessment."""
        return assessment
