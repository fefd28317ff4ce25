"""Settings of a serving process: one frozen object, read once from the environment."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.base.errors import InputError, Problem
from features.base.home import read_environment
from features.model.estimate import MIN_SAMPLE_SIZE

PREFIX = "KETAMINE_RESPONSE_"


class ServingSettings(BaseModel):
    """How a service behaves; each may be set as ``KETAMINE_RESPONSE_<NAME>``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    workers: int = Field(default=1, ge=1, le=256)  # Processes that answer
    most_body_bytes: int = Field(default=1 << 20, ge=1024)
    most_assessments: int = Field(default=10_000, ge=1)  # In one batch request
    # Concurrent requests of one process; it rejects further ones, which may retry.
    most_in_flight: int = Field(default=256, ge=1)
    # For each key without a limit of its own, in each process; 0 for no limit.
    most_per_minute: int = Field(default=6000, ge=0)
    body_seconds: float = Field(default=5.0, gt=0)  # Within which a body must arrive
    deadline_seconds: float = Field(default=4.0, gt=0)  # Within which a request must be answered
    watch_seconds: float = Field(default=2.0, gt=0)  # Between looks for new champions and keys
    # Effective sample size below which the service abstains.
    least_sample_size: float = Field(default=MIN_SAMPLE_SIZE, ge=0)
    # A request that cannot be audited is not answered, or it is answered and counted.
    audit: Literal["required", "best_effort"] = "required"
    store_inputs: bool = False  # Whether bodies are kept, encrypted, with their audit row
    log_requests: bool = True


def read_settings(environment: Mapping[str, str] | None = None) -> ServingSettings:
    """Read the settings; raise InputError for one that is not a number, or out of range.

    Examples
    --------
    >>> read_settings({"KETAMINE_RESPONSE_MOST_ASSESSMENTS": "5"}).most_assessments
    5
    """
    variables = read_environment() if environment is None else environment
    values = {
        name: variables[PREFIX + name.upper()]
        for name in ServingSettings.model_fields
        if PREFIX + name.upper() in variables
    }
    try:
        return ServingSettings.model_validate(values)
    except ValidationError as error:
        problems = [
            Problem(PREFIX + str(entry["loc"][0]).upper(), entry["type"], entry["msg"])
            for entry in error.errors(include_input=False, include_url=False)
        ]
        raise InputError(problems, source="environment") from None
