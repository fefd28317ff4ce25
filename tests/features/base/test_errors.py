"""Problems made of pydantic's errors."""

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from features.base.errors import SHOWN_PROBLEMS, InputError, Problem, list_problems


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


def test_problems_beyond_a_screen_are_counted():
    problems = [Problem(f"field{number}", "rule", "is wrong") for number in range(100)]
    *shown, last = str(InputError(problems, "cohort.csv")).splitlines()
    assert shown[0] == "cohort.csv: 100 problems"
    assert len(shown) == 1 + SHOWN_PROBLEMS
    assert f"{100 - SHOWN_PROBLEMS} more" in last
