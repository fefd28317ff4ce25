"""REDCap's data dictionary: choices, checkboxes and marked identifiers."""

import csv
import json

import pytest

from features.base.errors import CohortError, MappingError
from features.records.cohort import read_cohort
from features.records.mapping import read_mapping
from features.sources.redcap import read_redcap_dictionary
from features.sources.source_form import SourceForm
from features.sources.tables import open_table

HEADER = (
    *("Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label"),
    *("Choices, Calculations, OR Slider Labels", "Field Note"),
    *("Text Validation Type OR Show Slider Number", "Text Validation Min"),
    *("Text Validation Max", "Identifier?", "Branching Logic (Show field only if...)"),
)
API_NAMES = (
    *("field_name", "form_name", "section_header", "field_type", "field_label"),
    *("select_choices_or_calculations", "field_note"),
    *("text_validation_type_or_show_slider_number", "text_validation_min"),
    *("text_validation_max", "identifier", "branching_logic"),
)
# Name, type, label, choices, validation, identifier.
FIELDS = (
    ("record_id", "text", "Record ID", "", "", "y"),
    (
        "dx",
        "dropdown",
        "<b>Diagnosis</b>",
        "1, Depression | 2, PTSD, chronic | -9, Unknown",
        "",
        "",
    ),
    ("phq9_1", "radio", "Interest", "0, Not at all|1, Several days", "", ""),
    ("meds", "checkbox", "Medication", "1, SSRI | -2, Other | A, ECT", "", ""),
    ("smokes", "yesno", "Smokes", "", "", ""),
    ("initials_code", "text", "Initials", "", "", "y"),
    ("contact", "text", "Contact", "", "email", ""),
    ("sum", "calc", "Sum", "[phq9_1] + 1, 2 | 3", "", ""),
)


def list_lines():
    for name, kind, label, choices, validation, identifier in FIELDS:
        line = [name, "baseline", "", kind, label, choices, "", validation, "", "", identifier, ""]
        yield line


@pytest.fixture(params=["csv", "api.csv", "json"])
def dictionary(request, tmp_path):
    path = tmp_path / f"dictionary.{request.param}"
    lines = list(list_lines())
    if request.param == "json":
        path.write_text(json.dumps([dict(zip(API_NAMES, line, strict=True)) for line in lines]))
        return path
    with path.open("w", newline="") as file:
        names = API_NAMES if request.param == "api.csv" else HEADER
        csv.writer(file).writerows([names, *lines])
    return path


def test_fields_are_read_from_every_form_of_dictionary(dictionary):
    fields = {field.name: field for field in read_redcap_dictionary(dictionary)}
    assert dict(fields["dx"].choices) == {"1": "Depression", "2": "PTSD, chronic", "-9": "Unknown"}
    assert dict(fields["smokes"].choices) == {"1": "Yes", "0": "No"}
    assert fields["sum"].choices == {}
    assert fields["dx"].label == "Diagnosis"
    assert fields["meds"].list_columns() == {
        "meds___1": "Medication: SSRI",
        "meds____2": "Medication: Other",
        "meds___a": "Medication: ECT",
    }
    marked = [name for name, field in fields.items() if field.identifier]
    assert marked == ["initials_code", "contact"]


EXPORT = (
    "record_id,redcap_event_name,dx,phq9_1,meds___1,meds____2,smokes\n"
    "1,baseline_arm_1,1,0,1,0,1\n2,baseline_arm_1,2,1,0,0,\n3,baseline_arm_1,7,,0,1,0\n"
)


def test_labels_replace_codes_but_not_boxes(write, dictionary):
    path = write(EXPORT)
    codes = open_table(path, SourceForm(dictionary=dictionary))
    assert codes.descriptions["meds____2"] == "Medication: Other"
    assert set(codes.labels) == {"dx", "phq9_1", "smokes"}
    assert next(codes.batches).column("dx").to_pylist() == ["1", "2", "7"]
    (batch,) = open_table(path, SourceForm(dictionary=dictionary, labels="text")).batches
    assert batch.column("dx").to_pylist() == ["Depression", "PTSD, chronic", "7"]
    assert batch.column("smokes").to_pylist() == ["Yes", "", "No"]
    assert batch.column("meds___1").to_pylist() == ["1", "0", "0"]
    assert batch.column("redcap_event_name").to_pylist() == ["baseline_arm_1"] * 3


@pytest.mark.parametrize("name", ["initials_code", "contact"])
def test_columns_marked_as_identifiers_are_refused(write, dictionary, name):
    """Even if they would be ignored, as those that are named like identifiers."""
    path = write(EXPORT.replace("smokes", name))
    with pytest.raises(CohortError) as refused:
        open_table(path, SourceForm(dictionary=dictionary))
    assert [(p.field, p.rule) for p in refused.value.problems] == [(name, "identifier")]


def test_dictionary_lies_beside_the_mapping(write, dictionary, tmp_path):
    mapping = (
        f'dictionary = "{dictionary.name}"\nlabels = ["dx"]\nignore = ["redcap_event_name", '
        '"meds___1", "meds____2", "smokes", "phq9_1"]\n[rename]\nrecord_id = "patient_id"\n'
        'dx = "condition"\n[values.condition]\nDepression = "depression"\n'
        '"PTSD, chronic" = "ptsd"\n7 = "anxiety"\n[constants]\nphq9 = 12\n'
    )
    (tmp_path / "mapping.toml").write_text(mapping)
    columns = read_cohort(write(EXPORT), read_mapping(tmp_path / "mapping.toml"))
    assert columns.get_numbers("condition").tolist() == [0, 2, 1]


def test_what_is_no_dictionary_is_refused(write, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name, rule in (("other.csv", "columns"), ("absent.csv", "exists")):
        with pytest.raises(MappingError) as refused:
            open_table(write(EXPORT), SourceForm(dictionary=tmp_path / name))
        assert [(p.field, p.rule) for p in refused.value.problems] == [("dictionary", rule)]


def test_dictionary_of_another_project_is_refused(write, dictionary):
    with pytest.raises(MappingError, match="describes no column of cohort"):
        open_table(write("a,b\n1,2\n"), SourceForm(dictionary=dictionary))
