"""The feature matrix: columns in, ``float32[rows, features]`` out, nothing fitted.

Every feature is a named, written-down function of one field, or of an early score and its baseline,
so that a model card can carry it and any other program can compute it. The same lines serve one
patient and a million; rows never see each other. The site is not a feature: it enters a model as an
effect of its own, known or not.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.columns import Columns
from features.field import Field, Group, Kind
from features.fields import FIELDS

Transform = Literal["value", "level", "log1p", "above", "excess", "years"]
Numbers = NDArray[np.float64]


class Feature(BaseModel):
    """One column of the matrix: a transform of one field.

    Parameters
    ----------
    reference
        Baseline total from which the field's fall is counted, in per cent, before the transform;
        None where the field is taken as it is.
    transform
        ``value`` as it is; ``level`` 1 where the category is at position `parameter`; ``log1p``
        natural logarithm of 1 + value; ``above`` 1 from `parameter` upwards; ``excess`` what goes
        beyond `parameter`, at most 6; ``years`` how many years a date lies before day `parameter`,
        as a negative number, and 0 from that day on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    field: str
    reference: str | None = None
    transform: Transform
    parameter: float = 0.0


def indicate(values: Numbers, met: NDArray[np.bool_]) -> Numbers:
    """Give 1 where a condition is met, 0 where not, NaN where the value is missing."""
    return np.where(np.isnan(values), np.nan, met.astype(np.float64))


def compute_fall(early: Numbers, baseline: Numbers) -> Numbers:
    """Compute the fall from baseline in per cent, at worst -100; NaN without both, or from 0.

    Examples
    --------
    >>> compute_fall(np.array([8.0, 40, 3, np.nan]), np.array([16.0, 10, 0, 20]))
    array([  50., -100.,   nan,   nan])
    """
    some = np.where(baseline > 0, baseline, np.nan)
    return np.maximum(100 * (baseline - early) / some, WORST_FALL)


WORST_FALL = -100.0
EXCESS_CAP = 6.0
DAYS_A_YEAR = 365.25
TRANSFORMS: Mapping[Transform, Callable[[Numbers, float], Numbers]] = MappingProxyType(
    {
        "value": lambda values, parameter: values,
        "level": lambda values, parameter: indicate(values, values == parameter),
        "log1p": lambda values, parameter: np.log1p(values),
        "above": lambda values, parameter: indicate(values, values >= parameter),
        "excess": lambda values, parameter: np.clip(values - parameter, 0.0, EXCESS_CAP),
        "years": lambda values, parameter: np.minimum((values - parameter) / DAYS_A_YEAR, 0.0),
    }
)

# Forms in which the literature states its findings, beside or instead of the plain value.
EVIDENCED_FORMS: Mapping[str, tuple[tuple[str, Transform, float], ...]] = MappingProxyType(
    {
        "age": (("age", "value", 0), ("age_from_65", "above", 65)),
        "failed_antidepressants": (
            ("failed_antidepressants", "value", 0),
            ("failed_antidepressants_beyond_2", "excess", 2),
        ),
        "episode_months": (("log_episode_months", "log1p", 0),),
        "benzodiazepine_mg": (
            ("benzodiazepine_mg", "value", 0),
            ("benzodiazepine_from_8_mg", "above", 8),
        ),
    }
)


def make_features(field: Field, beside: Container[str] = ()) -> Iterator[Feature]:
    """Make the features of one field.

    Parameters
    ----------
    beside
        Names of the fields offered with it. An early score whose baseline is among them has its
        fall from it as a second feature.

    Examples
    --------
    >>> [feature.name for feature in make_features(FIELDS["sex"])]
    ['sex=female', 'sex=male', 'sex=other']
    >>> [feature.name for feature in make_features(FIELDS["age"])]
    ['age', 'age_from_65']
    >>> [feature.name for feature in make_features(FIELDS["madrs_day1"], ["madrs"])]
    ['madrs_day1', 'madrs_day1_fall']
    """
    if field.kind in (Kind.TEXT, Kind.DATE):
        return
    if field.kind is Kind.CATEGORY:
        for position, category in enumerate(field.categories):
            name = f"{field.name}={category}"
            yield Feature(name=name, field=field.name, transform="level", parameter=position)
        return
    plain: tuple[tuple[str, Transform, float], ...] = ((field.name, "value", 0),)
    for name, transform, parameter in EVIDENCED_FORMS.get(field.name, plain):
        yield Feature(name=name, field=field.name, transform=transform, parameter=parameter)
    baseline = field.name.rpartition("_")[0]
    if field.group is Group.FOLLOWUP and baseline in beside:
        name = f"{field.name}_fall"
        yield Feature(name=name, field=field.name, reference=baseline, transform="value")


def list_features(names: Iterable[str]) -> tuple[Feature, ...]:
    """List the features of some fields, in the registry's order whatever the order given."""
    wanted = set(names)
    fields = (field for name, field in FIELDS.items() if name in wanted)
    return tuple(feature for field in fields for feature in make_features(field, wanted))


def build_matrix(columns: Columns, features: Sequence[Feature]) -> NDArray[np.float32]:
    """Compute the feature matrix.

    Returns
    -------
    ndarray
        ``float32[rows, features]``, NaN where the field is missing.

    Examples
    --------
    >>> from features.assessment import read_assessments
    >>> patient = {"patient_id": "a", "condition": "depression", "phq9": 17, "age": 66}
    >>> build_matrix(read_assessments([patient]), list_features(["age", "bmi"]))
    array([[66.,  1., nan]], dtype=float32)
    """
    matrix = np.empty((columns.size, len(features)), dtype=np.float32)
    for place, feature in enumerate(features):
        values = columns.get_numbers(feature.field)
        if feature.reference is not None:
            values = compute_fall(values, columns.get_numbers(feature.reference))
        matrix[:, place] = TRANSFORMS[feature.transform](values, feature.parameter)
    return matrix
