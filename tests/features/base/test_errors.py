"""Problems made of pydantic's errors."""

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from features.base.errors import list_problems


class Dose(BaseModel):
    mg: int


@pytest.mark.parametrize(
    ("value", "prefix", "field"),
    [
        ({"doses": [{"mg": "x"}]}, "", "doses.0.mg"),
        ({"doses": [{"mg": "x"}]}, "study", "study.doses.0.mg"),
        (1, "", "file"),
        (1, "study", "study"),
    ],
)
def test_problem_names_the_path_to_its_field(value, prefix, field):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, list[Dose]]).validate_python(value)
    (problem,) = list_problems(caught.value, prefix)
    assert problem.field == field
    assert problem.rule in ("int_parsing", "dict_type")
