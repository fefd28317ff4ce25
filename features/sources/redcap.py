"""REDCap's data dictionary: what the columns of an export are.

As REDCap downloads it (CSV), or as its API gives a project's metadata (CSV or JSON).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from features.base.errors import MappingError, Problem
from features.sources.file_kind import find_ending
from features.sources.json_tables import JSON_ENDINGS, open_json
from features.sources.source_form import SourceForm
from features.sources.text_table import open_text_table

# The columns that are read: as downloaded, and in the API.
_COLUMNS = {
    "field_name": "Variable / Field Name",
    "field_type": "Field Type",
    "field_label": "Field Label",
    "select_choices_or_calculations": "Choices, Calculations, OR Slider Labels",
    "text_validation_type_or_show_slider_number": "Text Validation Type OR Show Slider Number",
    "identifier": "Identifier?",
}
_FIXED_CHOICES = {"yesno": {"1": "Yes", "0": "No"}, "truefalse": {"1": "True", "0": "False"}}
_CHOSEN = ("radio", "dropdown", "checkbox")
# A text that REDCap validates as one of these names or locates a person.
_OF_PERSONS = re.compile("email|phone|ssn|mrn|zip|postal")


@dataclass(frozen=True)
class RedcapField:
    """A field of a project, and the columns that it has in an export."""

    name: str
    # "radio", "checkbox", "text", "calc" …
    kind: str
    label: str
    # Labels by their codes.
    choices: Mapping[str, str]
    # Of texts: "date_ymd", "integer", "email" …
    validation: str
    identifier: bool

    def list_columns(self) -> dict[str, str]:
        """List its columns in an export, each with its description; a checkbox has several."""
        if self.kind != "checkbox":
            return {self.name: self.label}
        return {
            f"{self.name}___{re.sub('[^a-z0-9]', '_', code.lower())}": f"{self.label}: {label}"
            for code, label in self.choices.items()
        }


def read_redcap_dictionary(path: Path) -> list[RedcapField]:
    """Read a data dictionary.

    The record id does not count as an identifier, even if it is marked as one: it tells patients
    apart, and REDCap can export a hash under the same name.

    Raises
    ------
    CohortError
        If the file cannot be read.
    MappingError
        If the file does not exist, or is not a data dictionary.
    """
    if not path.is_file():
        _refuse_dictionary(path, "exists", "must be REDCap's data dictionary, as CSV or JSON")
    is_json = find_ending(path) in JSON_ENDINGS
    table = open_json(path, SourceForm()) if is_json else open_text_table(path, SourceForm())
    names = {key: name if name in table.names else key for key, name in _COLUMNS.items()}
    if lacking := [name for name in names.values() if name not in table.names]:
        message = f"is not REDCap's data dictionary: it has no column {', '.join(lacking)}"
        _refuse_dictionary(path, "columns", message)
    columns: dict[str, list[str]] = {key: [] for key in names}
    for batch in table.batches:
        for key, name in names.items():
            columns[key] += [text or "" for text in batch.column(name).to_pylist()]
    rows = zip(*columns.values(), strict=True)
    return [_make_field(number, *row) for number, row in enumerate(rows)]


def _refuse_dictionary(path: Path, rule: str, message: str) -> NoReturn:
    raise MappingError([Problem("dictionary", rule, message)], source=path.name)


def _make_field(
    number: int, name: str, kind: str, label: str, choices: str, validation: str, identifier: str
) -> RedcapField:
    kind, validation = kind.strip().lower(), validation.strip().lower()
    marked = identifier.strip().lower() in ("y", "yes", "1", "true")
    options = dict(_split_choices(choices)) if kind in _CHOSEN else _FIXED_CHOICES.get(kind, {})
    return RedcapField(
        name=name.strip(),
        kind=kind,
        # Labels may be formatted.
        label=re.sub("<[^>]*>", "", label).strip(),
        choices=MappingProxyType(options),
        validation=validation,
        identifier=number > 0 and (marked or _OF_PERSONS.search(validation) is not None),
    )


def _split_choices(choices: str) -> Iterator[tuple[str, str]]:
    # ``1, Mild | 2, Moderate, or worse``
    for choice in choices.split("|"):
        code, comma, label = choice.partition(",")
        if comma:
            yield code.strip(), label.strip()
