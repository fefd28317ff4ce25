"""How one file is written, as far as neither it nor its name can tell: a mapping tells."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from features.sources.dates import compile_dates


def _check_dates(pattern: str) -> str:
    try:
        compile_dates(pattern)
    except ValueError:
        message = "must be made of YYYY, MM or MMM, and DD, for instance DD/MM/YYYY"
        raise PydanticCustomError("dates", message) from None
    return pattern


class SourceForm(BaseModel):
    """What a user says of a file; a mapping has these keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Of a text file; by default its own ``sep=`` line or its ending decides.
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    decimal: Literal[".", ","] = "."
    # Of dates in texts, in addition to ISO 8601.
    dates: Annotated[str, AfterValidator(_check_dates)] | None = None
