"""The feature matrix: columns in, ``float32[rows, features]`` out, nothing fitted.

Every feature is a named function of one field, or of an early score and its baseline, which a model
card can carry and any other program can compute. The same lines serve one patient and a million;
rows do not affect each other. The site is not a feature: it has effects of its own.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.base.arrays import Flags, Numbers
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import Field, Group, Kind
from features.dictionary.horizon import DAYS_PER_YEAR
from features.model.curve import Curve, CurvePlan
from features.records.columns import Columns

Transform = Literal["value", "level", "log1p", "above", "excess", "years", "curve", "between"]


class Feature(BaseModel):
    """One column of the matrix: a transform of one field.

    ``value`` as it is; ``level`` 1 if the category is at position `parameter`; ``log1p`` natural
    logarithm of 1 + value; ``above`` 1 from `parameter` upwards; ``excess`` the part beyond
    `parameter`, at most 6; ``years`` years from day `parameter` to a date before it, negative, and
    0 from that day on; ``curve`` that of `curve`; ``between`` 1 within the bounds of `curve`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    field: str
    # Baseline total from which the field's fall is computed, in per cent, before the transform.
    reference: str | None = None
    transform: Transform
    parameter: float = 0.0
    curve: Curve | None = None


def compute_fall(early: Numbers, baseline: Numbers) -> Numbers:
    """Compute the fall from baseline in per cent, at worst -100; NaN without both, or from 0."""
    some = np.where(baseline > 0, baseline, np.nan)
    return np.maximum(100 * (baseline - early) / some, WORST_FALL)


# From a low baseline a rise can be many hundred per cent, and would dominate the feature.
WORST_FALL = -100.0
# Few patients lie further out: an unbounded line would claim more than the data show.
EXCESS_CAP = 6.0
# The position of a category that columns cannot hold.
_NO_CATEGORY = -1.0
# Transforms that are computed together.
GROUPS: Mapping[Transform, int] = MappingProxyType(
    {
        "value": 0,
        "excess": 1,
        "years": 1,
        "curve": 2,
        "log1p": 3,
        "level": 4,
        "above": 4,
        "between": 4,
    }
)
# Forms in which the literature states its findings, in addition to the plain value or instead.
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


def _make_features(field: Field, offered: Container[str | None]) -> Iterator[Feature]:
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
    # An early score offered with its baseline has its fall from it as a second feature.
    if field.group is Group.FOLLOWUP and field.instrument in offered:
        name, baseline = f"{field.name}_fall", field.instrument
        yield Feature(name=name, field=field.name, reference=baseline, transform="value")


def list_features(
    names: Iterable[str], dictionary: Dictionary | None = None
) -> tuple[Feature, ...]:
    """List the features of some fields, in the dictionary's order whatever the order of names.

    Examples
    --------
    >>> [feature.name for feature in list_features(["sex", "age"])]
    ['age', 'age_from_65', 'sex=female', 'sex=male', 'sex=other']
    """
    known, wanted = (dictionary or load_dictionary()).fields, set(names)
    fields = (field for name, field in known.items() if name in wanted)
    return tuple(feature for field in fields for feature in _make_features(field, wanted))


def translate_features(
    features: Iterable[Feature], known: Dictionary, dictionary: Dictionary
) -> tuple[Feature, ...]:
    """Return features for columns that were read with another dictionary.

    Its categories may have other positions; one that it lacks is met by no row.
    """
    return tuple(
        feature.model_copy(update={"parameter": _find_category(feature, known, dictionary)})
        if feature.transform == "level"
        else feature
        for feature in features
    )


def _find_category(feature: Feature, known: Dictionary, dictionary: Dictionary) -> float:
    category = known.fields[feature.field].categories[int(feature.parameter)]
    field = dictionary.fields.get(feature.field)
    if field is None or category not in field.categories:
        return _NO_CATEGORY
    return float(field.categories.index(category))


class MatrixPlan:
    """How some features are computed, prepared once: whole groups of transforms at a time."""

    def __init__(self, features: Sequence[Feature]) -> None:
        groups = [GROUPS[feature.transform] for feature in features]
        # Positions of the features as they are computed, group by group.
        self.order = np.argsort(groups, kind="stable")
        self._back = np.argsort(self.order)
        planned = [features[index] for index in self.order]
        read = [name for feature in planned for name in (feature.field, feature.reference) if name]
        self._fields = tuple(dict.fromkeys(read))
        lines = {name: line for line, name in enumerate(self._fields)}
        self._field_lines = np.array([lines[feature.field] for feature in planned], dtype=np.int64)
        falls = [
            (index, lines[feature.reference])
            for index, feature in enumerate(planned)
            if feature.reference
        ]
        self._falls, self._baselines = np.array(falls, dtype=np.int64).reshape(-1, 2).T
        ends = np.cumsum([groups.count(group) for group in range(5)]).tolist()
        scaled, self._curved, self._logs, self._marks = (slice(*pair) for pair in pairwise(ends))
        # Curves are scaled first, as the features before them are.
        self._scaled = slice(scaled.start, self._curved.stop)
        self._scale = _list_bounds(planned[self._scaled], 4)
        curves = [feature.curve or Curve() for feature in planned[self._curved]]
        self._curves = CurvePlan(curves) if curves else None
        self._levels = _list_bounds(planned[self._marks], 2)

    def compute(self, columns: Columns) -> tuple[Numbers, Flags]:
        """Compute the features in the plan's order, and which are missing: ``[features, rows]``.

        A value is arbitrary where the feature is missing.
        """
        fields = columns.stack(self._fields)
        values: Numbers = fields.take(self._field_lines, axis=0)
        if self._falls.size:
            values[self._falls] = compute_fall(values[self._falls], fields[self._baselines])
        missing = np.isnan(values)
        offset, unit, low, high = self._scale
        scaled, logs, marks = values[self._scaled], values[self._logs], values[self._marks]
        np.subtract(scaled, offset, out=scaled)
        np.divide(scaled, unit, out=scaled)
        np.maximum(scaled, low, out=scaled)
        np.minimum(scaled, high, out=scaled)
        if self._curves is not None:
            self._curves.compute(values[self._curved])
        np.log1p(logs, out=logs)
        low, high = self._levels
        np.copyto(marks, (marks >= low) & (marks <= high))
        return values, missing

    def arrange(self, values: Numbers, missing: Flags) -> NDArray[np.float32]:
        """Arrange computed features as ``float32[rows, features]`` in the order first given."""
        matrix = np.where(missing, np.nan, values).astype(np.float32)
        return np.ascontiguousarray(matrix.take(self._back, axis=0).T)


# `[width, features, 1]`
def _list_bounds(features: Sequence[Feature], width: int) -> Numbers:
    numbers = [_describe_transform(feature) for feature in features]
    return np.array(numbers, dtype=np.float64).reshape(-1, width).T[:, :, None]


# Of a scaled value the offset, the unit, lowest and highest result; of an indicator the lowest
# and highest value that give 1.
def _describe_transform(feature: Feature) -> tuple[float, ...]:
    parameter, curve = feature.parameter, feature.curve or Curve()
    match feature.transform:
        case "excess":
            return parameter, 1.0, 0.0, EXCESS_CAP
        case "years":
            return parameter, DAYS_PER_YEAR, -np.inf, 0.0
        case "curve":
            return curve.offset, curve.scale, *curve.bounds
        case "level":
            return parameter, parameter
        case "above":
            return parameter, np.inf
        case "between":
            return curve.bounds
        case "value" | "log1p":
            return ()


def build_matrix(columns: Columns, features: Sequence[Feature]) -> NDArray[np.float32]:
    """Compute the feature matrix, ``float32[rows, features]`` with NaN for missing.

    Examples
    --------
    >>> from features.records.assessment import read_assessments
    >>> patient = {"patient_id": "a", "condition": "depression", "phq9": 17, "age": 66}
    >>> build_matrix(read_assessments([patient]), list_features(["age", "bmi"]))
    array([[66.,  1., nan]], dtype=float32)
    """
    plan = MatrixPlan(features)
    return plan.arrange(*plan.compute(columns))
