"""From validated columns to estimates: probability, interval and factors, or why there is none.

The service, ``score``, MLflow's pyfunc and Python programs all estimate through :class:`Estimator`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import compress, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, describe_equal_rows
from features.dictionary.dictionary import DRUG_FIELDS, Dictionary
from features.model.card import SIMULATED_NOTE
from features.model.equation import Explanation
from features.model.estimate import (
    MIN_SAMPLE_SIZE,
    NO_BASELINE,
    NO_EARLY,
    NO_VALUE,
    OUTSIDE,
    REFUSED,
    TOO_FEW,
    AbstainedPart,
    BaseRatePart,
    Detail,
    Estimate,
    FactorPart,
    IntervalPart,
    ModelPart,
)
from features.model.prediction import Prediction
from features.model.response_model import ResponseModel
from features.model.studied import StudiedRanges, find_unread, list_early
from features.records.columns import Columns
from features.records.eligibility import Eligibility, check_eligibility, list_refusing_fields

# Smaller contributions to the log-odds are rounding error: the field adds nothing.
NO_CONTRIBUTION = 1e-12


@dataclass(frozen=True)
class Estimates:
    """A model's predictions for the rows of the conditions that it was developed on."""

    model: ResponseModel
    version: str
    # Those rows, and their indices among all.
    rows: NDArray[np.int64]
    columns: Columns
    prediction: Prediction
    # Why no probability is given, for each.
    abstained: list[AbstainedPart | None]
    # Of full detail only.
    explanation: Explanation | None = None

    @property
    def withheld(self) -> Flags:
        """Whether no probability is given, ``bool[estimates]``."""
        return np.array([reason is not None for reason in self.abstained], dtype=bool)

    def list_abstentions(self) -> tuple[list[str | None], list[str | None]]:
        """List why there is no probability, and the fields behind that, joined; None if none."""
        reasons = [part and part["reason"] for part in self.abstained]
        fields = [" ".join(part["fields"]) or None if part else None for part in self.abstained]
        return reasons, fields

    @property
    def prorated(self) -> list[list[str]]:
        """Totals that the model or its outcome rests on and that are pro-rated, for each."""
        used = {*self.model.equation.fields, self.model.card.outcome.instrument}
        marks = {name: rows for name, rows in self.columns.prorated.items() if name in used}
        if not marks:
            return [[]] * self.columns.size
        return describe_equal_rows(np.array([*marks.values()]), lambda row: [*compress(marks, row)])


# What only full detail gives: interval, effective sample size, intercept, factors, imputed fields.
_Evidence = tuple[IntervalPart | None, float | None, float | None, list[FactorPart], list[str]]


class Estimator:
    """Estimates with one model; what all of its estimates share is prepared once.

    Below `min_sample_size`, an effective sample size, no probability is given. Rows are read with
    `dictionary`, by default the model's own. To use it::

        model = ResponseModel.load(folder)
        estimates = Estimator(model).list_estimates(read_assessments(rows))
    """

    def __init__(
        self,
        model: ResponseModel,
        version: str = "",
        min_sample_size: float = MIN_SAMPLE_SIZE,
        dictionary: Dictionary | None = None,
    ) -> None:
        card, dictionary = model.card, dictionary or model.card.dictionary
        equation, fields = model.read_with(dictionary).equation, dictionary.fields
        self.model, self.version = model, version
        self._prepared = replace(model, equation=equation.prepared)
        known = fields["condition"].categories
        self._conditions = np.array([[known.index(name)] for name in card.conditions])
        self._studied, self._early = StudiedRanges(card.ranges, dictionary), list_early(card)
        # Before the first outcome every estimate is worth fewer patients than that; the user of
        # such a model wants to see how little it knows.
        self._min_sample_size = min_sample_size if card.population.courses else 0.0
        self._fields = equation.fields
        self._labels = [(name, fields[name].label) for name in equation.fields]
        self._recorded = tuple(name for name in equation.fields if name != "site")
        # What a drug alone has is not missing from other treatments.
        self._of_drugs = np.array([name in DRUG_FIELDS for name in self._recorded], dtype=bool)
        self._sites = frozenset(equation.sites)
        self._outcome, self._model_part = card.outcome.model_dump(), _describe_model(model, version)
        self._base_rate = BaseRatePart(
            probability=card.population.base_rate, n=card.population.courses
        )
        self._factors_reason = card.factors_reason
        self._note = f"{SIMULATED_NOTE}. {card.note}" if card.simulated else card.note

    def list_estimates(self, columns: Columns) -> list[Estimate | None]:
        """Estimate every row in full; None if its condition was not studied."""
        estimates = self.estimate(columns, check_eligibility(columns))
        listed: list[Estimate | None] = [None] * columns.size
        for row, estimate in zip(estimates.rows.tolist(), self.describe(estimates), strict=True):
            listed[row] = estimate
        return listed

    def estimate(
        self, columns: Columns, eligibility: Eligibility, detail: Detail = "full"
    ) -> Estimates:
        """Predict the rows of the model's conditions, and find which predictions are withheld."""
        studied = (columns.get_numbers("condition") == self._conditions).any(axis=0)
        columns, eligibility = columns.select(studied), eligibility.select(studied)
        model, explanation = self._prepared, None
        if detail == "full":
            prediction, explanation = model.predict_and_explain(columns)
        elif detail == "brief":
            prediction = model.predict_briefly(columns, self._min_sample_size)
        else:
            prediction = model.predict(columns)
        abstained = self._abstain(columns, eligibility, prediction)
        rows = np.flatnonzero(studied)
        return Estimates(
            self.model, self.version, rows, columns, prediction, abstained, explanation
        )

    def _abstain(
        self, columns: Columns, eligibility: Eligibility, prediction: Prediction
    ) -> list[AbstainedPart | None]:
        few = prediction.effective_sample_size < self._min_sample_size
        unmeasured = columns.find_missing(self._outcome["instrument"])
        unread = find_unread(columns, self._early)
        outside = self._studied.find_outside(columns)
        lacking = [columns.find_missing(name) for name in self.model.card.required]
        first = np.array([few, unmeasured, unread, *lacking])
        marks = np.concatenate([first, outside, eligibility.find_refusing()])
        # Fast path of the line below: usually no row is marked.
        if not np.count_nonzero(marks):
            return [None] * columns.size
        return describe_equal_rows(marks, self._give_reason)

    def _give_reason(self, marks: bytes) -> AbstainedPart | None:
        few, unmeasured, unread, *others = marks
        required, studied = self.model.card.required, self._studied.fields
        named = [name for name, mark in zip((*required, *studied), others, strict=False) if mark]
        count = sum(others[: len(required)])
        lacking, beyond = named[:count], named[count:]
        refusing = list_refusing_fields(others[len(required) + len(studied) :])
        # Gravest first: only the first that applies is given.
        reasons: tuple[tuple[Any, str, list[str]], ...] = (
            (refusing, REFUSED, refusing),
            (unmeasured, NO_BASELINE, [self._outcome["instrument"]]),
            (unread, NO_EARLY, self._early),
            (lacking, NO_VALUE, lacking),
            (beyond, OUTSIDE, beyond),
            (few, TOO_FEW, []),
        )
        for applies, reason, fields in reasons:
            if applies:
                return AbstainedPart(reason=reason, fields=fields)
        return None

    def describe(self, estimates: Estimates) -> list[Estimate]:
        """Return each estimate as JSON carries it.

        Parts that estimates share may be one object: read them, do not change them.
        """
        rows = zip(
            estimates.prediction.probability.tolist(),
            estimates.abstained,
            estimates.prorated,
            self._list_evidence(estimates),
            strict=False,
        )
        return [
            {
                "outcome": self._outcome,
                "probability": probability if abstained is None else None,
                "interval": interval,
                "effective_sample_size": size,
                "base_rate": self._base_rate,
                "abstained": abstained,
                "intercept": intercept,
                "factors": factors,
                "factors_reason": self._factors_reason,
                "imputed": imputed,
                "prorated": prorated,
                "model": self._model_part,
                "note": self._note,
            }
            for probability, abstained, prorated, evidence in rows
            for interval, size, intercept, factors, imputed in (evidence,)
        ]

    def _list_evidence(self, estimates: Estimates) -> Iterator[_Evidence]:
        if estimates.explanation is None:
            yield from repeat((None, None, None, [], []))
            return
        prediction, facts = estimates.prediction, self.model.card.interval
        rows = zip(
            estimates.abstained,
            prediction.low.tolist(),
            prediction.high.tolist(),
            prediction.effective_sample_size.tolist(),
            estimates.explanation.intercept.tolist(),
            self._list_factors(estimates.explanation),
            self._list_imputed(estimates.columns),
            strict=True,
        )
        level, method = facts.level, facts.method
        for abstained, low, high, size, intercept, factors, imputed in rows:
            if abstained is None:
                interval: IntervalPart = {
                    "low": low,
                    "high": high,
                    "level": level,
                    "method": method,
                }
                yield interval, size, intercept, factors, imputed
            else:
                yield None, None, None, [], imputed

    def _list_factors(self, explanation: Explanation) -> list[list[FactorPart]]:
        sizes = np.abs(explanation.contributions)
        # Stable: equal contributions keep the order of the fields on every platform.
        order = np.argsort(-sizes, axis=1, kind="stable")
        counts = np.count_nonzero(sizes > NO_CONTRIBUTION, axis=1)
        labels = self._labels
        return [
            [
                {"field": labels[index][0], "label": labels[index][1], "log_odds": row[index]}
                for index in indices[:count]
            ]
            for row, indices, count in zip(
                explanation.contributions.tolist(), order.tolist(), counts.tolist(), strict=True
            )
        ]

    # A site that the model does not know counts as missing.
    def _list_imputed(self, columns: Columns) -> list[list[str]]:
        missing = np.isnan(columns.stack(self._recorded))
        # Fast path of the line below: usually no champion knows such an agent.
        if columns.dictionary.undosed_agents:
            missing[self._of_drugs] &= ~columns.find_undosed()
        if self._sites:
            sites = columns.get_texts("site").tolist()
            unknown = np.array([[site not in self._sites for site in sites]], dtype=bool)
            missing = np.concatenate([missing, unknown])
        return describe_equal_rows(missing, lambda marks: [*compress(self._fields, marks)])


def _describe_model(model: ResponseModel, version: str) -> ModelPart:
    card = model.card
    return ModelPart(
        name=card.name,
        version=version,
        digest=model.digest,
        data=card.data,
        card=f"/model#{card.name}",
    )
