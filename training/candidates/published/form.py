"""The form of an equation's file; docs/reference/equations.md explains every key."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from training.study.parts import Part

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Pair = tuple[Number, Number]
Transform = Literal[
    "linear",
    "log",
    "log1p",
    "square_root",
    "square",
    "power",
    "fractional_polynomial",
    "spline",
]
Text = Annotated[str, Field(min_length=1, max_length=500)]
INTERCEPT = "intercept"
TermName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class TermPart(Part):
    """One term: what it computes of one field, or the product of two others, and its coefficients.

    A single number each, a list for the columns of a spline or fractional polynomial, or a table
    for the levels of a category.
    """

    field: str | None = None
    product: tuple[str, str] | None = None
    coefficient: Number | tuple[Number, ...] | Mapping[str, Number] | None = None
    odds_ratio: Positive | tuple[Positive, ...] | Mapping[str, Positive] | None = None
    standard_error: NotNegative | tuple[NotNegative, ...] | Mapping[str, NotNegative] | None = None
    interval: Pair | tuple[Pair, ...] | Mapping[str, Pair] | None = None
    # Values beyond are taken to be its ends.
    range: Pair | None = None
    # The transform is of (value + shift) / scale; the column is (transform - centre) / deviation.
    shift: Number = 0.0
    scale: Positive = 1.0
    transform: Transform = "linear"
    power: Number | None = None
    powers: tuple[Number, ...] = ()
    knots: Annotated[tuple[Number, ...], Field(max_length=20)] = ()
    # As in R's rms::rcspline.eval.
    norm: Literal[0, 1, 2] = 2
    centre: Number | tuple[Number, ...] = 0.0
    deviation: Positive = 1.0
    at_least: Number | None = None
    above: Number | None = None
    at_most: Number | None = None
    below: Number | None = None
    reference: str | tuple[str, ...] = ()


class CovariancePart(Part):
    """The covariance of the coefficients, rows and columns in the order of `of`."""

    of: tuple[str, ...]
    matrix: tuple[tuple[Number, ...], ...]


class EquationFile(Part):
    """An equation as a paper prints it.

    Parameters
    ----------
    source
        DOI or citation.
    outcome
        What it was made to predict: an outcome of ours, such as ``madrs.acute.response``, or the
        paper's own words.
    population
        The patients it was developed on.
    intercept
        None if the paper does not print it.
    units, missing
        Of a field, the paper's unit if it is not ours, and what a missing value counts as, in the
        paper's unit.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    label: Text
    source: Text
    outcome: Text
    population: Annotated[str, Field(max_length=500)] = ""
    intercept: Number | None = None
    intercept_standard_error: NotNegative | None = None
    units: Mapping[str, str] = Field(default_factory=dict)
    missing: Mapping[str, bool | Number | str] = Field(default_factory=dict)
    terms: Annotated[Mapping[TermName, TermPart], Field(min_length=1)]
    covariance: CovariancePart | None = None
