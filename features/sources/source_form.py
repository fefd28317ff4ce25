"""How one file is written: the settings of a mapping that neither the file nor its name shows."""

import codecs
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from features.sources.dates import compile_dates

# Python codecs that are not encodings of files.
_NOT_OF_FILES = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"}


def _check_dates(pattern: str) -> str:
    try:
        compile_dates(pattern)
    except ValueError:
        message = "must be made of YYYY, MM or MMM, and DD, for instance DD/MM/YYYY"
        raise PydanticCustomError("dates", message) from None
    return pattern


def _check_encoding(name: str) -> str:
    try:
        known = codecs.lookup(name).name.replace("_", "-")
        # Codecs that do not turn bytes into text, such as base64, raise LookupError here.
        b"a".decode(name, "replace")
    except (LookupError, ValueError):
        known = "undefined"
    if known in _NOT_OF_FILES:
        message = "must be the name of an encoding, for instance windows-1252, utf-16 or mac-roman"
        raise PydanticCustomError("encoding", message)
    return name


def _check_delimiter(delimiter: str) -> str:
    usable = len(delimiter) == 1 and delimiter.isascii() and not delimiter.isalnum()
    if not usable or delimiter in "\"'\r\n +-.\0":
        message = 'must be one sign, for instance ";", "\\t", "|" or "^"'
        # The rule's name dates from when only four signs were allowed.
        raise PydanticCustomError("literal_error", message)
    return delimiter


def _locate(path: Path, facts: ValidationInfo) -> Path:
    folder = (facts.context or {}).get("folder")
    return path if folder is None else folder / path


class SourceForm(BaseModel):
    """What a user says of a file; a mapping has these keys.

    Paths are relative to the ``folder`` of the validation's context, if there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Of a text file; by default its own ``sep=`` line or its ending decides.
    delimiter: Annotated[str, AfterValidator(_check_delimiter)] | None = None
    decimal: Literal[".", ","] = "."
    # Of dates in texts, in addition to ISO 8601.
    dates: Annotated[str, AfterValidator(_check_dates)] | None = None
    # Of a text file, by default UTF-8; of one of SPSS, Stata or SAS, by default what it declares.
    encoding: Annotated[str, AfterValidator(_check_encoding)] | None = None
    # Lines or rows above the header.
    skip_rows: Annotated[int, Field(ge=0)] = 0
    # Of a workbook: the sheet by its name, or by its number from 1.
    sheet: str | Annotated[int, Field(ge=1)] | None = None
    header_rows: Annotated[int, Field(ge=1, le=9)] = 1
    # Between the parts of a column's name.
    header_separator: str = " "
    # Rows of notes below the table, blank rows not counted.
    footer_rows: Annotated[int, Field(ge=0)] = 0
    # Whether labels replace codes: in no column, in all that have labels, or in those named.
    labels: Literal["codes", "text"] | tuple[str, ...] = "codes"
    # REDCap's data dictionary, relative to the folder of the mapping.
    dictionary: Annotated[Path, AfterValidator(_locate)] | None = None

    def is_labelled(self, name: str) -> bool:
        """Return whether a column's labels replace its codes."""
        return self.labels == "text" or (self.labels != "codes" and name in self.labels)
