"""How one file is written, as far as neither it nor its name can tell: a mapping tells."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class SourceForm(BaseModel):
    """What a user says of a file; a mapping has these keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Of a text file; by default its own ``sep=`` line or its ending decides.
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    decimal: Literal[".", ","] = "."
