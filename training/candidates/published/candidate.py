"""Published equations as candidates: as published, or recalibrated on the courses given.

No coefficient is fitted. What is estimated, if anything, are a new intercept and a slope of the
log-odds, and which of them are needed; all inside the courses given, so that it is resampled with
everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import CohortError, Problem, StudyError
from features.base.files import digest_bytes
from features.model.card import PublishedFacts
from features.model.equation import Equation
from training.candidates.base import Candidate, Fit, Settings
from training.candidates.calibration import NONE, Calibration
from training.candidates.evidence.published import BASE_RATE_SPREAD
from training.candidates.published.equation import PublishedEquation, read_equation
from training.measures.closed_test import SIGNIFICANT, run_closed_test
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.losses import compute_log_loss
from training.study.design import Design
from training.study.parts import Update
from training.study.split import split_inner
from training.study.study import Study

# Settings of a fit: 1 if it is estimated.
INTERCEPT, SLOPE = "estimates_intercept", "estimates_slope"
# After the literature as a whole, before whatever grows trees or fits coefficients here alone.
_PREFERENCE = 12
_COLOURS = ("#a6195e", "#8c6d00", "#1f6f9f", "#7f3b08", "#4f5d2f", "#5b4b8a")
_LABELS: Mapping[Update, str] = MappingProxyType(
    {
        "as-published": "as published",
        "intercept": "with a new intercept",
        "logistic": "with a new intercept and slope",
        "closed-test": "recalibrated as far as needed",
    }
)


class ImportedEquation(Candidate):
    """A published equation, with one way of updating it."""

    def __init__(self, equation: PublishedEquation, update: Update, number: int) -> None:
        super().__init__()
        file = equation.file
        self.equation, self.update = equation, update
        suffix = "" if update == "as-published" else f"_{update.replace('-', '_')}"
        self.name = f"{file.name}{suffix}"
        self.label = f"{file.label}, {_LABELS[update]}"
        self.colour = _COLOURS[number % len(_COLOURS)]
        self.preference = _PREFERENCE + number
        self.needs_outcomes = update != "as-published"
        self.source = file.source

    @property
    def required(self) -> tuple[str, ...]:
        """Fields whose absence the equation does not provide for."""
        return self.equation.required

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose what is recalibrated, and estimate it."""
        equation = self._write(design)
        if not design.size:
            return Fit(equation, {}, None, _PublishedPosterior(self.equation, equation, design))
        log_odds = equation.compute_log_odds(design.columns)[:, 0]
        inner = np.full(design.size, np.nan)
        folds = split_inner(design, seed)
        for fold in folds:
            train = design.select(fold.train)
            calibration = _fit_calibration(
                self._choose(train, log_odds[fold.train]), train, log_odds[fold.train]
            )
            tested = calibration.apply(log_odds[fold.test])
            inner[fold.test] = compute_log_loss(tested, design.outcome[fold.test])
        chosen = self._choose(design, log_odds)
        calibration = _fit_calibration(chosen, design, log_odds)
        settings = {**chosen, **calibration.as_settings()}
        return Fit(calibration.apply_to(equation), settings, inner if folds else None)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Recalibrate what was recalibrated before, and nothing else."""
        equation = self._write(design)
        log_odds = equation.compute_log_odds(design.columns)[:, 0]
        return _fit_calibration(settings, design, log_odds).apply_to(equation)

    def redevelop(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Recalibrate coefficients drawn from their published uncertainty.

        What is needed is chosen again, and the intercept estimated even if the model keeps the
        published one: an interval must not claim that the level here is known.
        """
        drawn = self.equation.draw(1, np.random.default_rng(seed))
        equation = self.equation.write(drawn, design.described.columns)
        log_odds = equation.compute_log_odds(design.columns)[:, 0]
        chosen = {**self._choose(design, log_odds), INTERCEPT: 1.0}
        return _fit_calibration(chosen, design, log_odds).apply_to(equation)

    def cite(self, equation: Equation) -> PublishedFacts:
        """Return what a card must say of the equation, and of its update."""
        file, (intercept, slope, _) = self.equation.file, equation.terms.calibration[0]
        return PublishedFacts(
            label=file.label,
            source=file.source,
            outcome=file.outcome,
            population=file.population,
            update=self.update,
            intercept=float(intercept),
            slope=float(slope),
            uncertainty=self.equation.uncertainty,
            digest=digest_bytes(file.model_dump_json().encode()),
        )

    def describe_interval(self, courses: int) -> str:
        """Describe what an estimate's interval covers, and what it does not."""
        source = {
            "covariance": "coefficients drawn from their published covariance",
            "standard errors": "coefficients drawn from their published standard errors, as if "
            "independent",
            "unknown": "the coefficients taken as known, since their standard errors are not "
            "published",
        }[self.equation.uncertainty]
        if not courses:
            return f"draws of a clinic's level, {source}"
        return f"recalibrations on resampled patients, {source}"

    def _write(self, design: Design) -> Equation:
        coefficients = self.equation.coefficients[None, :]
        return self.equation.write(coefficients, design.described.columns)

    # Which of intercept and slope are estimated.
    def _choose(self, design: Design, log_odds: Numbers) -> dict[str, float]:
        kind = {"as-published": "none", "intercept": "intercept", "logistic": "both"}.get(
            self.update
        )
        if kind is None:
            facts = run_closed_test(log_odds, design.outcome, design.effective_weights)
            kind = facts.kind
            # An intercept that is not published has to be estimated; and the level can be right
            # even if the ranking is not, for which the test proposes nothing.
            unfit = facts.p_any is not None and facts.p_any < SIGNIFICANT
            if kind == "none" and (unfit or self.equation.file.intercept is None):
                kind = "intercept"
        return {INTERCEPT: float(kind != "none"), SLOPE: float(kind == "both")}


@dataclass(frozen=True)
class _PublishedPosterior:
    # Before the first outcome: the published uncertainty, and the spread of clinics' levels.
    published: PublishedEquation
    equation: Equation
    design: Design

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        drawn = self.published.draw(count, generator)
        drawn[:, 0] += BASE_RATE_SPREAD * generator.standard_normal(count)
        return self.published.write(drawn, self.design.described.columns)

    def redevelop(self, rows: NDArray[np.int64], seed: int) -> Equation:
        # There is no course to resample.
        return self.equation


def _fit_calibration(chosen: Settings, design: Design, log_odds: Numbers) -> Calibration:
    if not chosen[INTERCEPT]:
        return NONE
    outcome, weights = design.outcome, design.weights[None, :]
    # Resampled courses may all be of one class: half a course is added to each.
    if design.events in (0, design.size):
        outcome = (outcome * design.size + 0.5) / (design.size + 1)
    if chosen[SLOPE]:
        intercept, slope = fit_intercept_slope(log_odds, outcome, weights)[0]
        # Without a slope above 0, no recalibration can correct the ranking of patients.
        if slope > 0:
            return Calibration(float(intercept), float(slope), float(slope))
    return Calibration(float(fit_intercept(log_odds, outcome, weights)[0]), 1.0, 1.0)


def import_equations(study: Study) -> dict[str, ImportedEquation]:
    """Make a study's published equations candidates, by name.

    Raises
    ------
    StudyError
        If a file breaks a rule; lists all problems, of all files.
    """
    imported: dict[str, ImportedEquation] = {}
    problems: list[Problem] = []
    for part in study.published:
        try:
            equation = read_equation(part, study)
        except StudyError as error:
            problems += [replace(p, field=f"{part.file}: {p.field}") for p in error.problems]
            continue
        known = equation.file.intercept is not None
        default: tuple[Update, ...] = ("as-published", "closed-test")
        updates = part.updates or default[not known :]
        if "as-published" in updates and not known:
            message = "needs an intercept, and the file states none"
            problems.append(Problem(f"{part.file}: as-published", "intercept", message))
        for update in updates:
            candidate = ImportedEquation(equation, update, len(imported))
            if candidate.name in imported:
                message = "this name is taken by another equation"
                problems.append(Problem(f"{part.file}: name", "duplicate", message))
            imported[candidate.name] = candidate
    if problems:
        raise StudyError(problems, study.name)
    return imported


def list_warnings(study: Study) -> list[str]:
    """List the equations of a study that were made for another outcome, in words."""
    outcomes = {
        c.equation.file.label: c.equation.file.outcome for c in import_equations(study).values()
    }
    return [
        f"WARNING: {label} was made for another outcome than {study.outcome}: {outcome}"
        for label, outcome in outcomes.items()
        if outcome != study.outcome
    ]


def check_recorded(study: Study, design: Design) -> None:
    """Check that every course records what an equation cannot do without.

    Raises
    ------
    CohortError
        If one does not: no value is made up. Lists all fields.
    """
    columns = (design.enrolled or design).columns
    equations = {c.equation.file.name: c.required for c in import_equations(study).values()}
    problems = []
    for name, required in equations.items():
        for field in required:
            if missing := int(columns.find_missing(field).sum()):
                message = (
                    f"is missing in {missing} of {columns.size} courses, and {name} does not say "
                    f"what a missing value counts as: state it in its file, `missing.{field} = …`"
                )
                problems.append(Problem(field, "missing", message))
    if problems:
        raise CohortError(problems, source=study.name)
