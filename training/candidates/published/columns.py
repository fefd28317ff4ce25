"""The columns of a published equation: features of our fields, each with its coefficient."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from features.base.errors import Problem, StudyError
from features.dictionary.field import Field, Kind
from features.model.curve import Curve
from features.model.matrix import Feature
from features.records.mapping import UNITS, convert_unit
from training.candidates.published.form import TermPart

# Half the width of a 95% interval, in standard errors.
_HALF_WIDTH = 1.959963984540054
_THRESHOLDS = ("at_least", "above", "at_most", "below")
# Keys that count for each kind of term; any other would be read and not applied.
_COEFFICIENT_KEYS = frozenset({"coefficient", "odds_ratio", "standard_error", "interval"})
_KEYS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "a product": frozenset({"product"}),
        "a category": frozenset({"field", "reference"}),
        "a threshold": frozenset({"field", *_THRESHOLDS}),
        "a number": frozenset(
            {"field", "range", "shift", "scale", "transform", "centre", "deviation"}
        ),
    }
)
_TRANSFORM_KEYS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "power": frozenset({"power"}),
        "fractional_polynomial": frozenset({"powers"}),
        "spline": frozenset({"knots", "norm"}),
    }
)
# Power of `(value + shift) / scale`, and how often its logarithm multiplies it; of 1 more than that
# for `log1p`.
_POWERS: Mapping[str, tuple[float, int]] = MappingProxyType(
    {"linear": (1, 0), "log": (0, 1), "log1p": (0, 1), "square_root": (0.5, 0), "square": (2, 0)}
)
_MIN_KNOTS = 3

# Of a term's column: what is added to the term's name, its feature, and from where it counts.
_Shape = tuple[str, Feature, float]


@dataclass(frozen=True)
class Column:
    """The feature minus `centre`, divided by `deviation`, times the coefficient.

    `error` is the coefficient's standard error; None if the paper does not print it.
    """

    name: str
    feature: Feature
    centre: float
    deviation: float
    coefficient: float
    error: float | None


@dataclass(frozen=True)
class Product:
    """The product of two columns, by their names, times the coefficient."""

    name: str
    factors: tuple[str, str]
    coefficient: float
    error: float | None


def read_product(name: str, term: TermPart, factors: tuple[str, str]) -> Product:
    """Read a term that is a product of two columns; raises as :func:`read_term` does."""
    if problems := list(_check_keys(term, "a product")):
        raise StudyError(_name_problems(name, problems))
    ((coefficient, error),) = _read_inputs(name, term, [""])
    return Product(name, factors, coefficient, error)


def read_term(name: str, term: TermPart, field: Field, unit: str | None) -> list[Column]:
    """Read a term of one field.

    Parameters
    ----------
    unit
        Of the paper; None if it is the field's own.

    Raises
    ------
    StudyError
        If the term breaks a rule; lists all problems.
    """
    kind = _name_kind(term, field)
    problems = [*_check_keys(term, kind), *_check_shape(term, field, kind)]
    if problems:
        raise StudyError(_name_problems(name, problems))
    shapes = list(_LISTED[kind](term, field, unit))
    numbers = _read_inputs(name, term, [label for label, _, _ in shapes])
    return [
        Column(
            name + label,
            feature.model_copy(update={"name": name + label}),
            centre,
            term.deviation,
            coefficient,
            error,
        )
        for (label, feature, centre), (coefficient, error) in zip(shapes, numbers, strict=True)
    ]


def _name_kind(term: TermPart, field: Field) -> str:
    if field.kind is Kind.CATEGORY:
        return "a category"
    return "a threshold" if term.model_fields_set & {*_THRESHOLDS} else "a number"


def _name_problems(name: str, problems: Sequence[tuple[str, str, str]]) -> Iterator[Problem]:
    for key, rule, message in problems:
        yield Problem(f"terms.{name}.{key}" if key else f"terms.{name}", rule, message)


# Each problem as key, rule and message.
def _check_keys(term: TermPart, kind: str) -> Iterator[tuple[str, str, str]]:
    keys = term.model_fields_set
    own = _TRANSFORM_KEYS.get(term.transform, frozenset()) if kind == "a number" else frozenset()
    for key in sorted(keys - _KEYS[kind] - own - _COEFFICIENT_KEYS):
        yield key, "unused", f"does not apply to {kind}"
    for key in sorted(own - keys - {"norm"}):
        yield key, "required", f"{term.transform} needs it"
    if len(keys & {"coefficient", "odds_ratio"}) != 1:
        yield "", "coefficient", "must have either `coefficient` or `odds_ratio`"
    if len(keys & {"standard_error", "interval"}) > 1:
        yield "", "standard_error", "must have either `standard_error` or `interval`, not both"


def _check_shape(term: TermPart, field: Field, kind: str) -> Iterator[tuple[str, str, str]]:
    if kind == "a category":
        yield from _check_levels(term, field)
    if len(term.model_fields_set & {"at_least", "above"}) > 1:
        yield "above", "threshold", "must have either `at_least` or `above`, not both"
    if len(term.model_fields_set & {"at_most", "below"}) > 1:
        yield "below", "threshold", "must have either `at_most` or `below`, not both"
    if term.range is not None and term.range[0] >= term.range[1]:
        yield "range", "order", "the first end must be below the second"
    if "knots" in term.model_fields_set and (
        len(term.knots) < _MIN_KNOTS or (np.diff(term.knots) <= 0).any()
    ):
        yield "knots", "order", f"must be at least {_MIN_KNOTS} numbers, each above the one before"
    count = _count_columns(term)
    if isinstance(term.centre, tuple) and len(term.centre) != count:
        yield "centre", "shape", f"must be one number, or one for each of {count} columns"


def _check_levels(term: TermPart, field: Field) -> Iterator[tuple[str, str, str]]:
    levels, reference = _list_levels(term), _list_reference(term)
    named = [*levels, *reference]
    if not levels:
        yield "", "shape", "the coefficients of a category must be a table of its levels"
    if not reference:
        yield "reference", "required", "must name the level or levels without a coefficient"
    for level in sorted(set(named) - set(field.categories)):
        yield level, "category", f"must be {field.allowed}"
    for level in sorted(level for level in set(named) if named.count(level) > 1):
        yield level, "duplicate", "is either a level with a coefficient or a reference"
    for level in [level for level in field.categories if level not in named]:
        message = "must have a coefficient, or be named in `reference`"
        yield level, "required", message


def _list_levels(term: TermPart) -> list[str]:
    table = term.coefficient if term.odds_ratio is None else term.odds_ratio
    return list(table) if isinstance(table, Mapping) else []


def _list_reference(term: TermPart) -> tuple[str, ...]:
    return (term.reference,) if isinstance(term.reference, str) else term.reference


def _count_columns(term: TermPart) -> int:
    return max(len(term.powers), len(term.knots) - 1, 1)


def _list_category(term: TermPart, field: Field, unit: str | None) -> Iterator[_Shape]:
    for level in _list_levels(term):
        position = field.categories.index(level)
        feature = Feature(name="", field=field.name, transform="level", parameter=position)
        yield f"={level}", feature, 0.0


def _list_threshold(term: TermPart, field: Field, unit: str | None) -> Iterator[_Shape]:
    def convert(value: float | None) -> float | None:
        if value is None or unit is None:
            return value
        return float(convert_unit(field.unit, unit, np.array([value]))[0])

    low, high = convert(term.at_least), convert(term.at_most)
    above, below = convert(term.above), convert(term.below)
    # Exactly above: from the next number that a computer can hold.
    low = low if above is None else float(np.nextafter(above, np.inf))
    high = high if below is None else float(np.nextafter(below, -np.inf))
    curve = Curve(low=low, high=high)
    yield "", Feature(name="", field=field.name, transform="between", curve=curve), 0.0


def _list_number(term: TermPart, field: Field, unit: str | None) -> Iterator[_Shape]:
    curves = list(_list_curves(term, UNITS[field.unit][unit] if unit else 1.0))
    centres = term.centre if isinstance(term.centre, tuple) else (term.centre,) * len(curves)
    for number, (curve, centre) in enumerate(zip(curves, centres, strict=True), 1):
        # What the field itself is needs no curve.
        bare = curve == Curve()
        feature = Feature(
            name="",
            field=field.name,
            transform="value" if bare else "curve",
            curve=None if bare else curve,
        )
        yield f".{number}" if _has_columns(term) else "", feature, centre


def _has_columns(term: TermPart) -> bool:
    return term.transform in ("spline", "fractional_polynomial")


def _list_curves(term: TermPart, factor: float) -> Iterator[Curve]:
    # Our values are the paper's times `factor`.
    more = 1.0 if term.transform == "log1p" else 0.0
    low, high = (
        None if term.range is None else (end + term.shift) / term.scale + more
        for end in (term.range or (0.0, 0.0))
    )
    scaled = {
        "offset": -(term.shift + more * term.scale) * factor or 0.0,
        "scale": term.scale * factor,
        "low": low,
        "high": high,
    }
    if term.transform == "spline":
        yield Curve(**scaled)
        yield from (Curve(**scaled, **spline) for spline in _list_splines(term))
    elif term.transform == "fractional_polynomial":
        for index, power in enumerate(term.powers):
            # A power that is repeated is multiplied by the logarithm each time; 0 is a logarithm.
            logs = term.powers[:index].count(power) + (power == 0)
            yield Curve(**scaled, power=power, logs=logs)
    else:
        power, logs = _POWERS.get(term.transform, (term.power or 0.0, 0))
        yield Curve(**scaled, power=power, logs=logs)


def _list_splines(term: TermPart) -> Iterator[dict[str, Any]]:
    *others, last, end = term.knots
    norms = {0: 1.0, 1: (end - last) ** 3, 2: (end - term.knots[0]) ** 2}
    for knot in others:
        yield {"knots": (knot, last, end), "norm": norms[term.norm]}


_LISTED: Mapping[str, Callable[[TermPart, Field, str | None], Iterator[_Shape]]] = {
    "a category": _list_category,
    "a threshold": _list_threshold,
    "a number": _list_number,
}


# The coefficient of each column, and its standard error.
def _read_inputs(
    name: str, term: TermPart, labels: Sequence[str]
) -> list[tuple[float, float | None]]:
    keys = ("coefficient", "odds_ratio", "standard_error", "interval")
    stated = {key: value for key in keys if (value := getattr(term, key)) is not None}
    aligned = {key: _align(value, labels, key == "interval") for key, value in stated.items()}
    shape = "a single one"
    if labels[0].startswith("."):
        shape = f"a list of {len(labels)}"
    elif labels[0].startswith("="):
        shape = f"a table of {', '.join(label[1:] for label in labels)}"
    problems = [(key, "shape", f"must be {shape}") for key, values in aligned.items() if not values]
    logged = "odds_ratio" in stated
    intervals = aligned.get("interval") or ()
    if any(low > high or (logged and low <= 0) for low, high in intervals):
        problems.append(("interval", "order", "must be a lower and an upper bound, as printed"))
    if problems:
        raise StudyError(_name_problems(name, problems))
    coefficients = [float(np.log(ratio)) for ratio in aligned.get("odds_ratio", ())]
    errors = aligned.get("standard_error")
    if intervals:
        errors = [
            float(np.ptp(np.log(pair) if logged else pair)) / 2 / _HALF_WIDTH for pair in intervals
        ]
    coefficients = coefficients or aligned["coefficient"]
    return list(zip(coefficients, errors or [None] * len(coefficients), strict=True))


# One value for each column; empty if the value is of another shape. A pair is a single value.
def _align(value: Any, labels: Sequence[str], pairs: bool) -> list[Any]:
    if labels[0].startswith("="):
        levels = [label[1:] for label in labels]
        matches = isinstance(value, Mapping) and set(value) == set(levels)
        return [value[level] for level in levels] if matches else []
    single = isinstance(value, float | int) or (pairs and _is_pair(value))
    if not labels[0]:
        return [value] if single else []
    matches = isinstance(value, tuple) and len(value) == len(labels)
    return list(value) if matches and not single else []


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(end, float | int) for end in value)
