"""Units agree with the table in units.md, which has every conversion."""

from pathlib import Path

import pytest

from features.dictionary.dictionary import load_dictionary
from features.records.cohort import read_cohort
from features.records.mapping import UNITS, read_mapping

FIELDS = load_dictionary().fields
LINES = Path(__file__).with_name("units.md").read_text("utf-8").splitlines()
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in LINES
    if line.startswith("| ") and "---" not in line
][1:]


@pytest.mark.parametrize(("field", "theirs", "unit", "ours"), ROWS)
def test_unit_is_converted_as_the_table_says(tmp_path, field, theirs, unit, ours):
    cohort, mapping = tmp_path / "cohort.csv", tmp_path / "mapping.toml"
    cohort.write_text(f"patient_id,condition,phq9,{field}\na,depression,9,{theirs}\n")
    mapping.write_text(f'[units]\n{field} = "{unit}"\n')
    columns = read_cohort(cohort, read_mapping(mapping))
    assert columns.get_numbers(field)[0] == pytest.approx(float(ours), rel=1e-7)


def test_the_table_has_every_conversion():
    """Every target unit is the unit of a field."""
    listed = {(FIELDS[field].unit, unit) for field, _, unit, _ in ROWS}
    assert listed == {(ours, theirs) for ours, known in UNITS.items() for theirs in known}
    assert set(UNITS) <= {field.unit for field in FIELDS.values()}
