"""The equation: from validated columns to log-odds, split by field on request.

A model gives the log-odds of the outcome as ::

    intercept + sum over features of (present times value, or missing where the value is missing)
              + sum over pairs of features of (weight times product, 0 where either is missing)
              + effect of the site, where it is known + weight times trees or exported classifier

and calibrates them (:mod:`features.model.calibration`).

A product counts both features from their centres in their scales; a square has 1 taken off, so that
it is 0 on average.

The same numbers exist once for the model and once for each of its re-developments on resampled
patients; their spread is the interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from features.base.arrays import Numbers
from features.base.errors import ArtifactError
from features.model.calibration import calibrate_log_odds, compute_chord_slope
from features.model.classifier import ExportedClassifier
from features.model.matrix import Feature
from features.model.plan import Plan, Rows
from features.model.terms import LINEAR, Terms
from features.model.trees import (
    join_boosters,
    predict_contributions,
    predict_margin,
    predict_margins,
)
from features.records.columns import Columns

MODEL_ALONE = slice(0, 1)
ALL_VERSIONS = slice(None)


@dataclass(frozen=True)
class Explanation:
    """Contributions to the log-odds; each row's, with its intercept, sum to its log-odds."""

    # `[rows]`
    intercept: Numbers
    fields: tuple[str, ...]
    # `[rows, fields]`
    contributions: Numbers


@dataclass(frozen=True)
class Equation:
    """Everything that turns columns into log-odds; `ArtifactError` if the parts do not fit."""

    features: tuple[Feature, ...]
    # Those that have an effect of their own.
    sites: tuple[str, ...]
    terms: Terms
    # Boosted trees, one for each version of `terms`, or none.
    boosters: tuple[Any, ...] = ()
    # Likewise, instead of trees; None for a version that predicts the same for every patient.
    classifiers: tuple[ExportedClassifier | None, ...] = ()
    # The boosters in one, see `prepared`.
    joined: Any = None

    def __post_init__(self) -> None:
        self.terms.check(len(self.features), len(self.sites))
        parts = self.boosters or self.classifiers
        if parts and len(parts) != len(self.terms.intercept):
            raise ArtifactError(
                "terms, and trees or classifiers, must have the same number of versions"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that the equation reads, the site last."""
        return self.plan.fields

    @cached_property
    def plan(self) -> Plan:
        """The terms, arranged for many rows."""
        return Plan(self.features, self.sites, self.terms)

    @property
    def straight(self) -> bool:
        """Whether log-odds are linear in the terms: no trees, no nonlinear calibration."""
        return not self.boosters and not self.classifiers and not self.plan.bent

    @property
    def splits(self) -> bool:
        """Whether log-odds can be split by field; of an exported classifier they cannot."""
        return not self.classifiers

    def compute_log_odds(self, columns: Columns, versions: slice = MODEL_ALONE) -> Numbers:
        """Compute log-odds as ``[rows, versions]``; by default of the model itself alone."""
        (log_odds,) = self.compute_blocks(self.plan.read(columns), versions, max(columns.size, 1))
        return log_odds

    def compute_blocks(self, rows: Rows, versions: slice, block_rows: int) -> Iterator[Numbers]:
        """Compute log-odds of rows already read, `block_rows` of them at a time."""
        has_margins = self.boosters or self.classifiers
        margins = self._predict_margins(rows, versions) if has_margins else None
        start = 0
        for log_odds in self.plan.sum_terms(rows, versions, block_rows):
            if margins is not None:
                log_odds += margins[start : start + block_rows]
            start += block_rows
            bent = self.plan.bent
            yield (
                calibrate_log_odds(log_odds, self.terms.calibration[versions]) if bent else log_odds
            )

    def _predict_margins(self, rows: Rows, versions: slice) -> Numbers:
        matrix = self.plan.matrix.arrange(rows.values, rows.missing)
        if self.joined is not None and versions == ALL_VERSIONS:
            return predict_margins(self.joined, matrix, len(self.boosters)) * self.plan.trees
        margins = [predict_margin(booster, matrix) for booster in self.boosters[versions]]
        margins += [
            np.zeros(len(matrix)) if classifier is None else classifier.predict_margin(matrix)
            for classifier in self.classifiers[versions]
        ]
        return np.column_stack(margins) * self.plan.trees[versions]

    def select_version(self, version: int) -> "Equation":
        """Return one version as a model of its own."""
        chosen = slice(version, version + 1)
        names = (*LINEAR, "calibration")
        kept = {name: getattr(self.terms, name)[chosen] for name in names}
        terms = replace(self.terms, **kept)
        boosters, classifiers = self.boosters[chosen], self.classifiers[chosen]
        return replace(self, terms=terms, boosters=boosters, classifiers=classifiers, joined=None)

    @cached_property
    def prepared(self) -> "Equation":
        """The same with its boosters joined once, for many predictions; equal to the last bit.

        Exported classifiers are made ready: `UnavailableError` without onnxruntime.
        """
        for classifier in filter(None, self.classifiers):
            classifier.session  # noqa: B018
        return replace(self, joined=join_boosters(self.boosters)) if self.boosters else self

    def explain(self, columns: Columns) -> Explanation:
        """Split the model's log-odds by field.

        A nonlinear calibration scales all contributions of a patient by the same factor. What
        cannot be split (see `splits`) is all intercept, with no field.
        """
        return self.split_rows(self.plan.read(columns))

    def split_rows(self, rows: Rows) -> Explanation:
        """Split the log-odds of rows already read; see :meth:`explain`."""
        plan = self.plan
        if not self.splits:
            (log_odds,) = self.compute_blocks(rows, MODEL_ALONE, max(len(rows.inputs.T), 1))
            return Explanation(log_odds[:, 0], (), np.empty((len(log_odds), 0)))
        start, summed = plan.split_terms(rows)
        intercept = np.full(len(rows.inputs.T), start)
        if self.boosters:
            matrix = plan.matrix.arrange(rows.values, rows.missing)
            shares = predict_contributions(self.boosters[0], matrix) * plan.trees[0]
            summed += plan.owners @ shares.T[plan.matrix.order]
            intercept += shares[:, -1]
        if plan.bent:
            calibration = self.terms.calibration[0]
            summed *= compute_chord_slope(intercept + summed.sum(axis=0), intercept, calibration)
            intercept = calibrate_log_odds(intercept[:, None], calibration[None, :])[:, 0]
        return Explanation(intercept, plan.fields, summed.T)
