"""Candidates of a user's own that are classifiers of scikit-learn.

A subclass says what it is and makes the classifier; the rest is as for our own candidates::

    class Forest(SklearnCandidate):
        name, label, colour = "forest", "random forest", "#8a5a00"

        def make(self):
            return RandomForestClassifier(300, min_samples_leaf=5)

The model is stored as ONNX (:mod:`features.model.classifier`), so that nothing of scikit-learn, and
nothing of the user's package, is needed to serve it.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from traceback import extract_tb
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from features.base.arrays import Numbers
from features.base.errors import KetamineResponseError, Problem, UnavailableError
from features.model.classifier import ExportedClassifier, bound_log_odds
from features.model.equation import Equation
from training.candidates.base import (
    Candidate,
    Fit,
    Settings,
    cross_base_rate,
    make_constant,
    make_equation,
)
from training.candidates.calibration import CONSTANT, Calibration, calibrate_on_folds
from training.candidates.export import MAX_FILE_BYTES, export_classifier
from training.candidates.tuning import (
    Search,
    Space,
    TuningTrial,
    choose_trial,
    list_own_sources,
    try_settings,
)
from training.measures.losses import compare_losses, compute_log_loss
from training.study.design import Design
from training.study.split import Fold, split_inner

_EXPORT_PACKAGES = ("onnx", "onnxruntime", "skl2onnx")
_NEEDS_EXPORT = (
    "is exported as ONNX and needs the packages onnx, onnxruntime and skl2onnx: "
    "`python -m pip install onnx onnxruntime skl2onnx`"
)
_NEEDS_IMPUTER = (
    "must accept missing values (NaN): put an imputer before it, such as "
    "make_pipeline(SimpleImputer(), …), or take a classifier that does"
)
_UNEQUAL_NAMES = (
    "space must name the same settings in each of `fixed`, at least one, and in `ranges`"
)
_MAX_QUOTED = 200


class FitError(KetamineResponseError):
    """A classifier of the user's own raised an error, or could not be exported."""


class SklearnCandidate(Candidate):
    """A classifier of scikit-learn, or a pipeline that ends in one.

    It learns from the matrix, ``float32`` with NaN for missing values, and does not see the site.

    Attributes
    ----------
    space
        Settings that are tried on inner folds and passed to `make`; by default none.
    """

    space: ClassVar[Space] = Space(fixed=(MappingProxyType({}),), ranges=MappingProxyType({}))

    @abstractmethod
    def make(self, **settings: float) -> Any:
        """Make the classifier, unfitted; it must have `predict_proba`.

        `random_state`, if it is not set, follows from the study's seed.
        """

    def find_problems(self, design: Design) -> list[Problem]:
        """Try every fixed setting: on made-up numbers, whose errors can be quoted, and on courses.

        Raises
        ------
        UnavailableError
            If the packages that export are missing.
        """
        if not all(map(find_spec, _EXPORT_PACKAGES)):
            raise UnavailableError(f"candidate {self.name} {_NEEDS_EXPORT}")
        if not design.features:
            return []
        named = [frozenset(settings) for settings in (*self.space.fixed, self.space.ranges)]
        if not self.space.fixed or len(set(named if named[-1] else named[:-1])) != 1:
            messages = [_UNEQUAL_NAMES]
        else:
            messages = [self._try(design, settings) for settings in self.space.fixed]
        different = dict.fromkeys(filter(None, messages))
        return [Problem(f"candidates.{self.name}", "classifier", text) for text in different]

    def _try(self, design: Design, settings: Settings) -> str:
        made_up = _make_up(design)
        try:
            estimator = self.make(**settings)
            if fault := _find_fault(estimator, design):
                return fault
            self._fit_exported(made_up, settings, 0)
        # Whatever a user's classifier raises is the user's to see and mend.
        except Exception as error:
            return self._explain(error, made_up, settings)
        try:
            size = len(self._fit_exported(design, settings, 0).content)
        except Exception as error:
            return _describe_unquoted(error)
        if size <= MAX_FILE_BYTES:
            return ""
        return (
            f"its file takes {size / 2**20:.1f} MiB, at most {MAX_FILE_BYTES // 2**20} are "
            "allowed: fewer trees or larger leaves, such as min_samples_leaf=20, make it smaller"
        )

    def _explain(self, error: Exception, made_up: Design, settings: Settings) -> str:
        if isinstance(error, KetamineResponseError) and error.__cause__ is None:
            return str(error)
        if not isinstance(error, KetamineResponseError) and self._fits(made_up, settings):
            return _NEEDS_IMPUTER
        cause = error.__cause__ or error
        head = "" if cause is error else f"{error}: "
        line = str(cause).strip().partition("\n")[0][:_MAX_QUOTED]
        return f"{head}{type(cause).__name__}: {line}"

    # Whether it does without missing values.
    def _fits(self, made_up: Design, settings: Settings) -> bool:
        complete = replace(made_up, matrix=np.nan_to_num(made_up.matrix))
        try:
            self._fit_estimator(complete, settings, 0).predict_proba(complete.matrix)
        except Exception:
            return False
        return True

    def _shielded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            message = f"candidate {self.name}: {_describe_unquoted(error)}"
            raise FitError(message) from None

    def fit(self, design: Design, seed: int) -> Fit:
        """Choose settings by log loss on inner folds, and calibrate on them."""
        folds = split_inner(design, seed)
        if not folds or not design.features:
            inner = cross_base_rate(design, folds)
            return Fit(_make_constant(design), CONSTANT.as_settings(), inner)
        choice = self._choose_settings(design, folds, seed)
        calibration, inner = calibrate_on_folds(design, folds, choice.log_odds, "logistic")
        settings = {**choice.settings, **calibration.as_settings()}
        return Fit(self.refit(design, settings, seed), settings, inner, trials=choice.trials)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with settings and calibration given."""
        calibration = Calibration.from_settings(settings)
        if calibration.is_constant or np.ptp(design.outcome) == 0:
            return _make_constant(design)
        own = {name: settings[name] for name in self.space.fixed[0]}
        exported = self._shielded(self._fit_exported, design, own, seed)
        return calibration.apply_to(_make_exported(design, exported))

    def _choose_settings(self, design: Design, folds: Sequence[Fold], seed: int) -> "_Choice":
        rows = np.concatenate([fold.test for fold in folds])
        outcome, weights = design.outcome[rows], design.weights[rows]
        kept: dict[frozenset[tuple[str, float]], Numbers] = {}

        def judge(settings: Settings) -> Iterator[float]:
            log_odds = np.empty(0)
            for fold in folds:
                added = self._shielded(self._predict_fold, design, fold, settings, seed)
                log_odds = np.append(log_odds, added)
                seen = slice(len(log_odds))
                kept[frozenset(settings.items())] = log_odds
                losses = compute_log_loss(log_odds, outcome[seen])
                yield float(np.average(losses, weights=weights[seen]))

        journal = self.tuning.open_journal(self.name, design, seed, list_own_sources([type(self)]))
        trials = self.tuning.trials if self.space.ranges else 0
        tried = try_settings(Search(self.space, judge, len(folds), seed, journal), trials)

        def recall(trial: TuningTrial) -> _Choice:
            # Not kept if it was read from the journal of a killed run.
            if frozenset(trial.settings.items()) not in kept:
                list(judge(trial.settings))
            return _Choice(trial.settings, kept[frozenset(trial.settings.items())], tried)

        fixed, best = choose_trial(tried[: len(self.space.fixed)]), choose_trial(tried)
        chosen, other = recall(fixed), recall(best)
        # As of our own trees: the best of many trials is in part the luckiest.
        losses, others = (compute_log_loss(c.log_odds, outcome) for c in (other, chosen))
        gain = compare_losses(losses, others, design.patients[rows], weights)
        return other if gain.mean < -gain.error else chosen

    def _predict_fold(self, design: Design, fold: Fold, settings: Settings, seed: int) -> Numbers:
        estimator = self._fit_estimator(design.select(fold.train), settings, seed)
        return bound_log_odds(estimator.predict_proba(design.matrix[fold.test])[:, 1])

    def _fit_exported(self, design: Design, settings: Settings, seed: int) -> ExportedClassifier:
        return export_classifier(self._fit_estimator(design, settings, seed), design.matrix)

    def _fit_estimator(self, design: Design, settings: Settings, seed: int) -> Any:
        estimator = clone(self.make(**settings))
        estimator.set_params(**_list_parameters(estimator, seed))
        weights = design.given_weights
        arguments = {} if weights is None else {_name_weights(estimator): weights}
        outcome = design.outcome.astype(np.int64)
        return estimator.fit(_fill_unrecorded(design.matrix), outcome, **arguments)


@dataclass(frozen=True)
class _Choice:
    settings: Settings
    # Held out, of the folds' test courses one fold after the other.
    log_odds: Numbers
    trials: tuple[TuningTrial, ...]


def _describe_unquoted(error: Exception) -> str:
    # The message of a user's classifier may quote what it was given: patients' values.
    if isinstance(error, KetamineResponseError):
        return str(error)
    last = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"


def _find_fault(estimator: Any, design: Design) -> str:
    known = isinstance(estimator, BaseEstimator) and is_classifier(estimator)
    if not (known and hasattr(estimator, "predict_proba")):
        return "make() must return a classifier of scikit-learn that has predict_proba"
    if design.given_weights is not None and not _name_weights(estimator):
        return "must accept sample_weight, since the study weights courses for missing outcomes"
    return ""


def _name_weights(estimator: Any) -> str:
    # Of a pipeline, only the last step takes them; empty if it does not.
    name, last = estimator.steps[-1] if isinstance(estimator, Pipeline) else ("", estimator)
    if not has_fit_parameter(last, "sample_weight"):
        return ""
    return f"{name}__sample_weight" if name else "sample_weight"


def _list_parameters(estimator: Any, seed: int) -> Mapping[str, int]:
    parameters = estimator.get_params()
    keys = {name: name.rpartition("__")[2] for name in parameters}
    undecided = [n for n, key in keys.items() if key == "random_state" and parameters[n] is None]
    # One thread each: fits run side by side.
    spread = [n for n, key in keys.items() if key == "n_jobs" and parameters[n] is not None]
    return dict.fromkeys(undecided, seed) | dict.fromkeys(spread, 1)


def _make_up(design: Design) -> Design:
    # As many numbers as there are, some of them missing, and all in the last column.
    generator = np.random.default_rng(0)
    outcome = np.arange(design.size, dtype=np.float64) % 2
    matrix = generator.normal(size=design.matrix.shape).astype(np.float32)
    matrix[:, 0] += outcome
    matrix[generator.random(matrix.shape) < 0.2] = np.nan
    matrix[:, 1:][:, -1:] = np.nan
    return replace(design, matrix=matrix, outcome=outcome)


def _fill_unrecorded(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    # In a bootstrap sample a rare field can be missing in every course: some classifiers and
    # imputers then fail, or drop the column. A constant tells them as little.
    empty = np.isnan(matrix).all(axis=0)
    return np.where(empty, np.float32(0), matrix)


def _make_constant(design: Design) -> Equation:
    constant = make_constant(replace(design, site_names=()))
    return replace(constant, classifiers=(None,))


def _make_exported(design: Design, exported: ExportedClassifier) -> Equation:
    blank = np.zeros(len(design.features))
    equation = make_equation(replace(design, site_names=()), 0.0, blank, blank)
    terms = replace(equation.terms, trees=np.ones(1))
    return replace(equation, terms=terms, classifiers=(exported,))
