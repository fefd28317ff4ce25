"""Published equations: each transform by hand, and every fault of a file named."""

import math
import tomllib

import numpy as np
import pytest
from cards import make_card

from features.base.errors import StudyError
from features.model.response_model import ResponseModel
from features.records.assessment import read_assessments
from training.candidates.published.equation import read_equation
from training.study.parts import PublishedPart
from training.study.study import Study

HEAD = """
name = "invented"
label = "Invented 2026"
source = "an invented equation"
outcome = "phq9.acute.response"
intercept = 0.5
"""


def read(text, head=HEAD, **study):
    facts = {"name": "t", "question": "?", "outcome": "phq9.acute.response", "seed": 1}
    part = PublishedPart(file="invented.toml", content=tomllib.loads(head + text))
    return read_equation(part, Study(**facts, **study))


def make_people(*rows):
    patients = [
        {"patient_id": f"p{number}", "condition": "depression", "phq9": 10, **row}
        for number, row in enumerate(rows)
    ]
    return read_assessments(patients)


def write(equation, people):
    return equation.write(equation.coefficients[None, :], people)


def compute(text, *rows):
    """Compute log-odds minus the intercept of 0.5; single rows and explanations must agree."""
    equation, people = read(text), make_people(*rows)
    written = write(equation, people)
    log_odds = written.compute_log_odds(people)[:, 0]
    explained = written.explain(people)
    summed = explained.intercept + explained.contributions.sum(axis=1)
    assert summed == pytest.approx(log_odds, abs=1e-9)
    alone = [written.compute_log_odds(make_people(row))[0, 0] for row in rows]
    assert alone == pytest.approx(log_odds, abs=1e-9)
    return (log_odds - 0.5).tolist()


# Each with two patients' values and what they add to the log-odds, worked out by hand.
BY_HAND = {
    "linear": ("[terms.age]\ncoefficient = 0.02", "age", (30, 60), (0.6, 1.2)),
    "odds ratio": ("[terms.age]\nodds_ratio = 2.0", "age", (1, 3), (math.log(2), 3 * math.log(2))),
    "centred and scaled": (
        "[terms.age]\ncoefficient = 0.3\ncentre = 45\ndeviation = 15",
        *("age", (30, 60), (-0.3, 0.3)),
    ),
    "log": (
        "[terms.bmi]\ntransform = 'log'\ncoefficient = 2",
        *("bmi", (20, 40), (2 * math.log(20), 2 * math.log(40))),
    ),
    # log(24 + 1) = 2 log 5.
    "log1p": (
        "[terms.episode_months]\ntransform = 'log1p'\ncoefficient = 1",
        *("episode_months", (0, 24), (0, 2 * math.log(5))),
    ),
    "square root": (
        "[terms.episode_months]\ntransform = 'square_root'\ncoefficient = 1",
        *("episode_months", (0, 36), (0, 6)),
    ),
    "square, scaled first": (
        "[terms.age]\ntransform = 'square'\nscale = 10\ncoefficient = 0.1",
        *("age", (30, 50), (0.9, 2.5)),
    ),
    "power": (
        "[terms.bmi]\ntransform = 'power'\npower = -2\ncoefficient = 400",
        *("bmi", (20, 40), (1, 0.25)),
    ),
    # Powers 0 and 0: log z and its square; z = (24 + 1) / 10 = 2.5, and 10.
    "fractional polynomial of degree 2, power repeated": (
        "[terms.episode_months]\ntransform = 'fractional_polynomial'\npowers = [0, 0]\nshift = 1\n"
        "scale = 10\ncoefficient = [1, -0.5]",
        *("episode_months", (24, 99)),
        tuple(math.log(z) - 0.5 * math.log(z) ** 2 for z in (2.5, 10)),
    ),
    # Powers -1 and 3, centred as Stata's fracpoly prints them.
    "fractional polynomial, centred": (
        "[terms.bmi]\ntransform = 'fractional_polynomial'\npowers = [-1, 3]\nscale = 10\n"
        "centre = [0.4, 15.625]\ncoefficient = [2, 0.01]",
        *("bmi", (20, 40)),
        (2 * (0.5 - 0.4) + 0.01 * (8 - 15.625), 2 * (0.25 - 0.4) + 0.01 * (64 - 15.625)),
    ),
    "at least": ("[terms.age]\nat_least = 65\ncoefficient = -0.4", "age", (64, 65), (0, -0.4)),
    "above": ("[terms.age]\nabove = 65\ncoefficient = -0.4", "age", (65, 66), (0, -0.4)),
    "below": ("[terms.bmi]\nbelow = 18.5\ncoefficient = 1", "bmi", (18.5, 18.4), (0, 1)),
    "between": (
        "[terms.bmi]\nat_least = 25\nbelow = 30\ncoefficient = 1",
        *("bmi", (25, 30), (1, 0)),
    ),
    "levels": (
        "[terms.sex]\nreference = 'female'\n[terms.sex.coefficient]\nmale = 0.3\nother = -0.1",
        *("sex", ("female", "male"), (0, 0.3)),
    ),
    "flag": ("[terms.bipolar]\ncoefficient = -0.7", "bipolar", (False, True), (0, -0.7)),
    # 36 months are 3 years.
    "unit": (
        "[units]\nepisode_months = 'years'\n[terms.episode_months]\ncoefficient = 0.2",
        *("episode_months", (0, 36), (0, 0.6)),
    ),
    "threshold in the paper's unit": (
        "[units]\nepisode_months = 'years'\n[terms.episode_months]\nat_least = 2\ncoefficient = 1",
        *("episode_months", (23, 24), (0, 1)),
    ),
    "range in the paper's unit": (
        "[units]\nepisode_months = 'years'\n[terms.episode_months]\nrange = [0.5, 10]\n"
        "transform = 'log'\ncoefficient = 1",
        *("episode_months", (0, 1200), (math.log(0.5), math.log(10))),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_transforms_by_hand(name):
    text, field, values, expected = BY_HAND[name]
    assert compute(text, *({field: value} for value in values)) == pytest.approx(expected, abs=1e-5)


# Harrell's nonlinear terms for knots 25, 40, 55 and 70, divided by (70 - 25)^2 = 2025:
# at 60: 35^3 - 5^3 * 45/15 = 42500, and 20^3 - 5^3 * 30/15 = 7750;
# at 80: 55^3 - 25^3 * 3 + 10^3 * 30/15 = 121500, and 40^3 - 25^3 * 2 + 10^3 * 15/15 = 33750;
# at 20: nothing. R's rms::rcspline.eval(x, knots = c(25, 40, 55, 70), inclx = TRUE) agrees.
SPLINE = {20: (0, 0), 60: (42500 / 2025, 7750 / 2025), 80: (60, 33750 / 2025)}


@pytest.mark.parametrize("age", SPLINE)
@pytest.mark.parametrize(("norm", "factor"), [(2, 1), (1, 2025 / 15**3), (0, 2025)])
def test_restricted_cubic_splines_are_those_of_rms(age, norm, factor):
    text = f"""
    [terms.age]
    transform = "spline"
    knots = [25, 40, 55, 70]
    norm = {norm}
    coefficient = [0.01, 0.03, -0.08]
    """
    first, second = SPLINE[age]
    expected = 0.01 * age + factor * (0.03 * first - 0.08 * second)
    (added,) = compute(text, {"age": age})
    assert added == pytest.approx(expected, rel=1e-5)


def test_splines_are_straight_beyond_the_last_knot():
    text = "[terms.age]\ntransform = 'spline'\nknots = [25, 40, 70]\ncoefficient = [0, 1]"
    values = compute(text, *({"age": age} for age in (70, 90, 110)))
    assert values[2] - values[1] == pytest.approx(values[1] - values[0], rel=1e-5)


def test_products_of_columns_by_hand():
    """b (x - 40)/10 z with z 1 for men; far values are not cut off."""
    text = """
    [terms.age]
    coefficient = 0.2
    centre = 40
    deviation = 10
    [terms.sex]
    reference = ["female", "other"]
    coefficient = { male = 0.5 }
    [terms.age_by_sex]
    product = ["age", "sex=male"]
    coefficient = -0.3
    """
    rows = [{"age": age, "sex": sex} for age in (20, 40, 110) for sex in ("female", "male")]
    expected = [-0.4, -0.4 + 0.5 + 0.6, 0, 0.5, 1.4, 1.4 + 0.5 - 2.1]
    assert compute(text, *rows) == pytest.approx(expected, abs=1e-5)


STATED = """
[missing]
age = 50
sex = "male"
bipolar = 0.2
[terms.age]
coefficient = 0.02
[terms.age_squared]
field = "age"
transform = "square"
coefficient = 0.001
[terms.sex]
reference = ["female", "other"]
coefficient = { male = 0.5 }
[terms.bipolar]
coefficient = -1
[terms.product]
product = ["age", "sex=male"]
coefficient = -0.01
[terms.other_product]
product = ["age", "bipolar"]
coefficient = 0.03
"""


@pytest.mark.parametrize("lost", [("age",), ("sex",), ("bipolar",), ("age", "sex", "bipolar")])
def test_missing_values_count_as_the_file_states(lost):
    """As a patient who has the value stated; bipolar is 20% of -1 and of the product."""
    full = {"age": 33, "sex": "female", "bipolar": True}
    stated = {"age": 50, "sex": "male"}
    kept = {name: value for name, value in full.items() if name not in lost}
    filled = kept | {name: stated[name] for name in lost if name in stated}
    age, male = filled["age"], filled["sex"] == "male"
    share = filled.get("bipolar", 0.2)
    expected = 0.02 * age + 0.001 * age**2 + 0.5 * male - share - 0.01 * age * male
    assert compute(STATED, kept, full)[0] == pytest.approx(expected + 0.03 * age * share, abs=1e-5)
    assert read(STATED).required == ()
    assert read("[terms.age]\ncoefficient = 1").required == ("age",)


def test_models_of_every_transform_are_saved_and_loaded(tmp_path):
    text = "\n".join(
        text.replace("[terms.", f"[terms.t{number}_").replace("]\n", f"]\nfield = '{field}'\n", 1)
        for number, (text, field, _, _) in enumerate(BY_HAND.values())
        if "[units]" not in text and "reference" not in text
    )
    equation = read(text)
    people = make_people({"age": 66, "bmi": 24, "episode_months": 7, "bipolar": True})
    written = write(equation, people)
    model = ResponseModel(make_card(features=written.features), written)
    digest = model.save(tmp_path / "model")
    loaded = ResponseModel.load(tmp_path / "model", digest).equation
    assert loaded.compute_log_odds(people) == written.compute_log_odds(people)


@pytest.mark.parametrize(
    "stated",
    [
        "standard_error = 0.05",
        # From 0.2 - 1.96 * 0.05 to 0.2 + 1.96 * 0.05.
        "interval = [0.102001800772973, 0.297998199227027]",
    ],
)
def test_coefficients_are_drawn_from_published_errors(stated):
    equation = read(f"[terms.age]\ncoefficient = 0.2\n{stated}")
    draws = equation.draw(4000, np.random.default_rng(1))
    assert equation.uncertainty == "standard errors"
    assert draws.mean(axis=0) == pytest.approx([0.5, 0.2], abs=0.004)
    assert draws.std(axis=0) == pytest.approx([0, 0.05], abs=0.002)


def test_interval_of_odds_ratio_is_logged():
    """From 2 / e to 2 e: the standard error of the logarithm is 1 / 1.96."""
    text = f"[terms.age]\nodds_ratio = 2\ninterval = [{2 / math.e}, {2 * math.e}]"
    (column,) = read(text).columns
    assert (column.coefficient, column.error) == pytest.approx((math.log(2), 1 / 1.959964))


def test_coefficients_are_drawn_from_the_published_covariance():
    text = """
    [terms.age]
    coefficient = 0.2
    [terms.bmi]
    coefficient = 0.1
    [covariance]
    of = ["bmi", "intercept", "age"]
    matrix = [[0.04, 0.01, -0.03], [0.01, 0.09, 0.0], [-0.03, 0.0, 0.0625]]
    """
    draws = read(text).draw(20000, np.random.default_rng(1))
    expected = [[0.09, 0.0, 0.01], [0.0, 0.0625, -0.03], [0.01, -0.03, 0.04]]
    assert np.cov(draws.T) == pytest.approx(np.array(expected), abs=0.002)


def list_faults(text, head=HEAD, **changes):
    with pytest.raises(StudyError) as refused:
        read(text, head, **changes)
    return {problem.field: problem.rule for problem in refused.value.problems}


def test_every_fault_of_a_file_is_named_at_once():
    text = """
    [units]
    age = "months"
    bmi = "stone"
    weeks = "days"
    [missing]
    bmi = 5
    [terms.age]
    coefficient = 1
    odds_ratio = 2
    [terms.bmi]
    coefficient = [1, 2]
    [terms.weight]
    coefficient = 1
    [terms.phq9_acute]
    coefficient = 1
    [terms.site]
    coefficient = 1
    [terms.sex]
    coefficient = { male = 1, man = 2 }
    reference = "female"
    [terms.duration]
    field = "episode_months"
    transform = "log"
    coefficient = 1
    [terms.gad7]
    at_least = 10
    centre = 3
    coefficient = 1
    [terms.madrs]
    transform = "spline"
    knots = [3, 2]
    coefficient = [1, 2]
    """
    assert list_faults(text) == {
        "units.bmi": "unit",
        "units.weeks": "unused",
        "missing.bmi": "range",
        "terms.age": "coefficient",
        "terms.bmi.coefficient": "shape",
        "terms.weight: weight": "unknown",
        "terms.phq9_acute: phq9_acute": "leakage",
        "terms.site: site": "type",
        "terms.sex.man": "category",
        "terms.sex.other": "required",
        "terms.duration": "undefined",
        "terms.gad7.centre": "unused",
        "terms.madrs.knots": "order",
    }


def test_a_file_without_source_is_refused():
    head = 'name = "X"\nlabel = "X"\noutcome = "?"\ncolour = "red"\n'
    faults = list_faults("[terms.age]\ncoefficient = 'one'", head)
    assert {"name", "source", "colour"} < set(faults)
    assert any(name.startswith("terms.age.coefficient") for name in faults)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "[terms.bmi]\ncoefficient = 1\n[terms.p]\nproduct = ['bmi', 'age']\ncoefficient = 1",
            {"terms.p.product": "product"},
        ),
        (
            "[terms.bmi]\ncoefficient = 1\nstandard_error = 1\n[terms.age]\ncoefficient = 1",
            {"terms": "standard_error"},
        ),
        (
            "[terms.bmi]\ncoefficient = 1\n[covariance]\nof = ['bmi']\nmatrix = [[-1]]",
            {"covariance.matrix": "covariance"},
        ),
        (
            "[terms.bmi]\ncoefficient = 1\n[covariance]\nof = ['age']\nmatrix = [[1]]",
            {"covariance.of": "names"},
        ),
        ("[terms.bmi]\nodds_ratio = 2\ninterval = [3, 1]", {"terms.bmi.interval": "order"}),
    ],
)
def test_faults_between_terms_are_named(text, faults):
    assert list_faults(text) == faults


def test_fields_that_the_study_leaves_out_are_refused():
    text = "[terms.age]\ncoefficient = 1"
    expected = {"terms.age: age": "features"}
    assert list_faults(text, features={"exclude": ["age"]}) == expected
    assert list_faults(text, features={"include": ["phq9"]}) == expected
    assert read(text, features={"include": ["age"]}).required == ("age",)
