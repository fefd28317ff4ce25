"""Settings of a serving process: one frozen object, read once from the environment."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import InputError, Problem
from features.home import read_environment

PREFIX = "KETAMINE_RESPONSE_"


class ServingSettings(BaseModel):
    """How a service behaves; each may be set as ``KETAMINE_RESPONSE_<NAME>``.

    Parameters
    ----------
    most_body_bytes
        Largest request body.
    most_assessments
        Most assessments in one batch request.
    least_sample_size
        Effective sample size below which the service abstains. A choice of this project.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    most_body_bytes: int = Field(default=1 << 20, ge=1024)
    most_assessments: int = Field(default=10_000, ge=1)
    least_sample_size: float = Field(default=10.0, ge=0)


def read_settings(environment: Mapping[str, str] | None = None) -> ServingSettings:
    """Read the settings.

    Raises
    ------
    InputError
        If one is no number, or out of its range.

    Examples
    --------
    >>> read_settings({"KETAMINE_RESPONSE_MOST_ASSESSMENTS": "5"}).most_assessments
    5
    """
    found = read_environment() if environment is None else environment
    values = {
        name: found[PREFIX + name.upper()]
        for name in ServingSettings.model_fields
        if PREFIX + name.upper() in found
    }
    try:
        return ServingSettings.model_validate(values)
    except ValidationError as error:
        problems = [
            Problem(PREFIX + str(entry["loc"][0]).upper(), entry["type"], entry["msg"])
            for entry in error.errors(include_input=False, include_url=False)
        ]
        raise InputError(problems, source="environment") from None
