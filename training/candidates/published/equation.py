"""A published equation, read from its file and written as an equation of ours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from pydantic import ValidationError

from features.base.arrays import Indices, Numbers
from features.base.errors import Problem, StudyError, list_problems
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field, Kind
from features.model.calibration import IDENTITY
from features.model.equation import Equation
from features.model.matrix import Feature, build_matrix
from features.model.terms import MAX_UNITS, Terms
from features.records.columns import Columns
from features.records.mapping import UNITS, convert_unit
from training.candidates.published.columns import Column, Product, read_product, read_term
from training.candidates.published.form import INTERCEPT, EquationFile
from training.study.design import average_recorded
from training.study.parts import PublishedPart
from training.study.study import Study, check_feature

# Enough to find where a transform of a field's whole range is undefined, and how far it reaches;
# the margin is for what lies between two points.
_GRID, _MARGIN = 2001, 1.01
# A covariance may miss being one by so much, relative to its largest number: papers round.
_ROUNDED = 1e-6


@dataclass(frozen=True, eq=False)
class PublishedEquation:
    """An equation whose fields are known.

    Parameters
    ----------
    stand_ins
        Value of each column's feature if its field is missing, ``[columns]``; NaN if the file does
        not state it.
    spans
        Lowest and highest value of each column's feature, ``[columns, 2]``.
    """

    file: EquationFile
    columns: tuple[Column, ...]
    products: tuple[Product, ...]
    stand_ins: Numbers
    spans: Numbers

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features of the columns."""
        return tuple(column.feature for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Fields without which there is no estimate: the file does not say what they count as."""
        fields = dict.fromkeys(feature.field for feature in self.features)
        return tuple(name for name in fields if name not in self.file.missing)

    @property
    def terms(self) -> tuple[Column | Product, ...]:
        """Whatever has a coefficient, in the order of :attr:`coefficients`."""
        return *self.columns, *self.products

    @cached_property
    def coefficients(self) -> Numbers:
        """As published: the intercept (0 if it is not), the columns', and the products'."""
        numbers = [term.coefficient for term in self.terms]
        return np.array([self.file.intercept or 0.0, *numbers])

    @cached_property
    def covariance(self) -> Numbers:
        """Covariance of :attr:`coefficients`; zeros as far as it is not published."""
        errors = [term.error or 0.0 for term in self.terms]
        diagonal = [self.file.intercept_standard_error or 0.0, *errors]
        covariance = np.diag(np.square(diagonal))
        if self.file.covariance is not None:
            names = [INTERCEPT, *(term.name for term in self.terms)]
            rows = [names.index(name) for name in self.file.covariance.of]
            covariance[np.ix_(rows, rows)] = self.file.covariance.matrix
        return covariance

    @property
    def uncertainty(self) -> str:
        """What the paper prints of it: ``covariance``, ``standard errors`` or ``unknown``."""
        if self.file.covariance is not None:
            return "covariance"
        known = [term.error is not None for term in self.terms]
        return "standard errors" if all(known) else "unknown"

    def draw(self, count: int, generator: np.random.Generator) -> Numbers:
        """Draw coefficients from the published uncertainty, ``[count, coefficients]``."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn: Numbers = self.coefficients + generator.standard_normal((count, len(root))) @ root.T
        return drawn

    def write(self, coefficients: Numbers, described: Columns) -> Equation:
        """Write versions of the equation.

        Parameters
        ----------
        coefficients
            ``[versions, coefficients]``, in the order of :attr:`coefficients`.
        described
            Patients from whose means contributions are counted.
        """
        base, lines, weights = np.split(coefficients, [1, 1 + len(self.columns)], axis=1)
        starts = np.array([column.centre for column in self.columns])
        deviations = np.array([column.deviation for column in self.columns])
        centre, scale = self._centre(described), self._scale
        first, second = self._pairs.T
        present = lines / deviations
        weights = weights / (deviations[first] * deviations[second])
        intercept = base[:, 0] - present @ starts
        # Products count features from their centres here, and from the paper's there: the
        # difference is linear in either feature.
        gaps = centre - starts
        np.add.at(present.T, first, (weights * gaps[second]).T)
        np.add.at(present.T, second, (weights * gaps[first]).T)
        moved = gaps[first] * gaps[second] - gaps[second] * centre[first]
        intercept += weights @ (moved - gaps[first] * centre[second])
        versions = len(coefficients)
        terms = Terms(
            intercept=intercept,
            present=present,
            missing=present * np.where(np.isnan(self.stand_ins), centre, self.stand_ins),
            sites=np.empty((versions, 0)),
            trees=np.zeros(versions),
            centre=centre,
            scale=scale,
            pairs=self._pairs,
            products=weights * scale[first] * scale[second],
            calibration=np.tile(IDENTITY, (versions, 1)),
        )
        return Equation(self.features, (), terms)

    @cached_property
    def _pairs(self) -> Indices:
        names = [column.name for column in self.columns]
        pairs = [[names.index(name) for name in product.factors] for product in self.products]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    # A product is 0 if either field is missing: so its features are centred at what stands in for
    # them, and in the middle of their range otherwise, which is the same for all refits.
    def _centre(self, described: Columns) -> Numbers:
        centre = average_recorded(build_matrix(described, self.features))
        factors = np.unique(self._pairs)
        centre[factors] = self._fixed[factors]
        return centre

    @cached_property
    def _fixed(self) -> Numbers:
        middle = self.spans.mean(axis=1)
        fixed: Numbers = np.where(np.isnan(self.stand_ins), middle, self.stand_ins)
        return fixed

    # In units so large that no value is cut off.
    @cached_property
    def _scale(self) -> Numbers:
        reach = np.abs(self.spans - self._fixed[:, None]).max(axis=1, initial=0.0)
        scale: Numbers = np.where(reach > 0, reach * _MARGIN / MAX_UNITS, 1.0)
        return scale


def read_equation(part: PublishedPart, study: Study) -> PublishedEquation:
    """Read an equation of a study.

    Raises
    ------
    StudyError
        If its file breaks a rule, or asks for what the study does not know; lists all problems.
    """
    try:
        file = EquationFile.model_validate(dict(part.content))
    except ValidationError as error:
        raise StudyError(list_problems(error), part.file) from None
    dictionary = study.dictionary
    columns, products, problems = _read_terms(file, study)
    problems += _check_tables(file, dictionary)
    spans = [_compute_span(column.feature, dictionary) for column in columns]
    problems += [
        _describe_undefined(column, dictionary)
        for column, span in zip(columns, spans, strict=True)
        if not np.isfinite(span).all()
    ]
    # Which columns there are is known only if all terms could be read.
    problems = problems or [*_check_products(columns, products), *_check_errors(file, columns)]
    problems = problems or list(_check_covariance(file, columns, products))
    if problems:
        raise StudyError(problems, part.file)
    stand_ins = _compute_stand_ins(file, columns, dictionary)
    return PublishedEquation(file, tuple(columns), tuple(products), stand_ins, np.array(spans))


def _read_terms(
    file: EquationFile, study: Study
) -> tuple[list[Column], list[Product], list[Problem]]:
    columns: list[Column] = []
    products: list[Product] = []
    problems: list[Problem] = []
    for name, term in file.terms.items():
        try:
            if term.product is not None:
                products.append(read_product(name, term, term.product))
                continue
            field = _find_field(f"terms.{name}", term.field or name, study)
            unit = file.units.get(field.name)
            known = unit if unit in UNITS.get(field.unit, {}) else None
            columns += read_term(name, term, field, known)
        except StudyError as error:
            problems += error.problems
    return columns, products, problems


def _find_field(term: str, name: str, study: Study) -> Field:
    dictionary, chosen = study.dictionary, study.features
    problems = check_feature(name, dictionary, study.parse_outcome())
    field = dictionary.fields.get(name)
    if not problems and (field is None or field.kind in (Kind.TEXT, Kind.DATE)):
        problems = [Problem(name, "type", "must be a number, a flag or a category")]
    if name in chosen.exclude or (chosen.include is not None and name not in chosen.include):
        problems.append(Problem(name, "features", "is not among the features of the study"))
    if problems or field is None:
        raise StudyError([replace(p, field=f"{term}: {name}") for p in problems])
    return field


def _check_tables(file: EquationFile, dictionary: Dictionary) -> Iterator[Problem]:
    if INTERCEPT in file.terms:
        yield Problem(f"terms.{INTERCEPT}", "duplicate", "the intercept has a key of its own")
    read = {term.field or name for name, term in file.terms.items() if term.product is None}
    for key, named in (("units", file.units), ("missing", file.missing)):
        for name in sorted(set(named) - read):
            yield Problem(f"{key}.{name}", "unused", "no term reads this field")
    for name, unit in file.units.items():
        field = dictionary.fields.get(name)
        if field is not None and unit not in UNITS.get(field.unit, {}):
            known = ", ".join(UNITS.get(field.unit, {})) or "nothing"
            message = f"{field.unit or 'this field'} can be made from: {known}"
            yield Problem(f"units.{name}", "unit", message)
    for name, value in file.missing.items():
        field = dictionary.fields.get(name)
        if field is not None and _read_stand_in(field, value, file.units.get(name)) is None:
            yield Problem(f"missing.{name}", "range", f"must be {_describe_stand_in(field)}")


def _describe_stand_in(field: Field) -> str:
    if field.kind is Kind.FLAG:
        return "true, false, or the proportion of those for whom it is true"
    # A mean need not be a whole number.
    return field.allowed.replace("a whole number", "a number")


# In our unit; None if it breaks a rule.
def _read_stand_in(field: Field, value: bool | float | str, unit: str | None) -> float | None:
    if field.kind is Kind.CATEGORY:
        known = isinstance(value, str) and value in field.categories
        return float(field.categories.index(str(value))) if known else None
    if isinstance(value, str) or (field.numeric and isinstance(value, bool)):
        return None
    number = float(value)
    if unit in UNITS.get(field.unit, {}):
        number = float(convert_unit(field.unit, str(unit), np.array([number]))[0])
    low, high = (0.0, 1.0) if field.kind is Kind.FLAG else (field.low, field.high)
    return number if low <= number <= high else None


def _check_products(columns: Sequence[Column], products: Sequence[Product]) -> Iterator[Problem]:
    names = [column.name for column in columns]
    for product in products:
        if not set(product.factors) <= set(names) or len(set(product.factors)) < 2:
            message = f"must be two different columns of: {', '.join(names)}"
            yield Problem(f"terms.{product.name}.product", "product", message)


def _check_errors(file: EquationFile, columns: Sequence[Column]) -> Iterator[Problem]:
    known = {
        name: term.standard_error is not None or term.interval is not None
        for name, term in file.terms.items()
    }
    if file.covariance is not None and (any(known.values()) or file.intercept_standard_error):
        message = "must have either the covariance or standard errors, not both"
        yield Problem("covariance", "standard_error", message)
    elif any(known.values()) and not all(known.values()):
        lacking = ", ".join(name for name, is_known in known.items() if not is_known)
        message = f"must be stated for all terms or for none; it is missing for: {lacking}"
        yield Problem("terms", "standard_error", message)
    if file.intercept is None and file.intercept_standard_error is not None:
        message = "does not apply without an intercept"
        yield Problem("intercept_standard_error", "unused", message)


def _check_covariance(
    file: EquationFile, columns: Sequence[Column], products: Sequence[Product]
) -> Iterator[Problem]:
    if file.covariance is None:
        return
    names = [*(column.name for column in columns), *(product.name for product in products)]
    of, matrix = list(file.covariance.of), file.covariance.matrix
    if sorted(set(of) - {INTERCEPT}) != sorted(names) or len(set(of)) < len(of):
        message = f"must name each of: {', '.join(names)}; and may name {INTERCEPT}"
        yield Problem("covariance.of", "names", message)
    elif {len(of)} != {len(matrix), *map(len, matrix)}:
        yield Problem("covariance.matrix", "shape", f"must have {len(of)} rows of {len(of)}")
    else:
        numbers = np.array(matrix)
        slack = _ROUNDED * np.abs(numbers).max()
        if np.abs(numbers - numbers.T).max() > slack or np.linalg.eigvalsh(numbers)[0] < -slack:
            message = "must be symmetric, without a negative eigenvalue"
            yield Problem("covariance.matrix", "covariance", message)


def _compute_span(feature: Feature, dictionary: Dictionary) -> Numbers:
    # Lowest and highest value over the field's range; not finite if undefined anywhere.
    field = dictionary.fields[feature.field]
    high = {Kind.FLAG: 1.0, Kind.CATEGORY: len(field.categories) - 1.0}.get(field.kind, field.high)
    grid = np.linspace(field.low, high, _GRID if field.numeric else int(high) + 1)
    with np.errstate(all="ignore"):
        columns = Columns(len(grid), {field.name: grid}, dictionary=dictionary)
        values = build_matrix(columns, [feature])
    return np.array([values.min(), values.max()], dtype=np.float64)


def _describe_undefined(column: Column, dictionary: Dictionary) -> Problem:
    field = dictionary.fields[column.feature.field]
    message = (
        f"is undefined for part of what {field.name} may be, {field.allowed}; state `range`, "
        "beyond which values are taken to be its ends, or `shift`"
    )
    return Problem(f"terms.{column.name}", "undefined", message)


def _compute_stand_ins(
    file: EquationFile, columns: Sequence[Column], dictionary: Dictionary
) -> Numbers:
    stated = {
        name: _read_stand_in(dictionary.fields[name], value, file.units.get(name))
        for name, value in file.missing.items()
    }
    values = {name: np.array([value], dtype=np.float64) for name, value in stated.items()}
    patient = Columns(1, values, dictionary=dictionary)
    stand_ins: Numbers = build_matrix(patient, [c.feature for c in columns])[0].astype(np.float64)
    return stand_ins
