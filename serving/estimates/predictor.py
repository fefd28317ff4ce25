"""The predictor: champions and validated columns in, estimates out. No web framework in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, repeat
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.dictionary.fields import FIELDS
from features.model.card import (
    SIMULATED_NOTE,
    AbstainedPart,
    BaseRatePart,
    Estimate,
    FactorPart,
    IntervalPart,
    ModelPart,
)
from features.model.equation import Explanation
from features.model.response_model import Prediction
from features.model.studied import StudiedRanges, find_unread, list_early
from features.records.columns import Columns
from features.records.eligibility import Eligibility, check_eligibility, list_refusing_fields
from features.records.patterns import describe_alike
from serving.models.models import Champion

# Log-odds so near to 0 are what rounding left of it.
NOTHING = 1e-12

# How much an estimate says: all of it, or only a probability, or why there is none.
Detail = Literal["full", "brief"]
DETAILS: tuple[Detail, ...] = ("full", "brief")

# Why no probability is given, gravest first.
REFUSED = "eligibility"
NO_BASELINE = "baseline_missing"
NO_EARLY = "early_score_missing"
OUTSIDE = "outside_studied_range"
TOO_FEW = "too_little_evidence"


@dataclass(frozen=True)
class Answers:
    """One champion's answers to the rows whose condition it was developed on.

    Parameters
    ----------
    rows
        Positions of those rows among all.
    abstained
        For each of them, why no probability is given, or None.
    explanation
        None where nobody asked for it.
    """

    champion: Champion
    rows: NDArray[np.int64]
    columns: Columns
    prediction: Prediction
    abstained: list[AbstainedPart | None]
    explanation: Explanation | None = None


class Evidence(NamedTuple):
    """What stands behind one probability."""

    interval: IntervalPart | None
    effective_sample_size: float | None
    intercept: float | None
    factors: list[FactorPart]
    imputed: list[str]


class Predictor:
    """Answers assessments with every champion of their condition.

    Parameters
    ----------
    least_sample_size
        Effective sample size below which there is no probability.
    """

    def __init__(self, champions: Sequence[Champion], least_sample_size: float) -> None:
        self.champions = tuple(champions)
        self.least_sample_size = least_sample_size
        self._speakers = [Speaker(champion, least_sample_size) for champion in self.champions]

    def answer(self, columns: Columns, eligibility: Eligibility) -> list[Answers]:
        """Answer many rows at once, each champion the rows of its conditions; unexplained."""
        return [speaker.answer(columns, eligibility) for speaker in self._speakers]

    def estimate(self, columns: Columns, detail: Detail = "full") -> list[dict[str, Any]]:
        """Give each row its estimates and what the eligibility rules say.

        Parameters
        ----------
        detail
            ``brief`` leaves out interval, effective sample size, factors and what was imputed; the
            probabilities are the same, and missing for the same reasons.

        Returns
        -------
        list of dict
            ``estimates`` and ``eligibility`` for each row, in order. What rows have in common may
            be one object: it is to be read, not changed.
        """
        eligibility = check_eligibility(columns)
        results: list[dict[str, Any]] = [
            {"estimates": [], "eligibility": notices} for notices in eligibility.list_all_notices()
        ]
        for speaker in self._speakers:
            answers = speaker.answer(columns, eligibility, detail)
            for row, estimate in zip(answers.rows.tolist(), speaker.describe(answers), strict=True):
                results[row]["estimates"].append(estimate)
        return results


class Speaker:
    """Speaks for one champion; what all of its answers have in common is worked out once.

    Parameters
    ----------
    least_sample_size
        Effective sample size below which there is no probability.
    """

    def __init__(self, champion: Champion, least_sample_size: float) -> None:
        card, equation = champion.model.card, champion.model.equation
        known = FIELDS["condition"].categories
        self._champion = champion
        self._prepared = replace(champion.model, equation=equation.prepared)
        self._conditions = np.array([[known.index(name)] for name in card.conditions])
        self._studied, self._early = StudiedRanges(card.ranges), list_early(card)
        # Before the first outcome nobody is worth so many patients; whoever asked for such a model
        # wants to see how little it knows.
        self._least = least_sample_size if card.population.courses else 0.0
        self._fields = equation.fields
        self._labels = [(name, FIELDS[name].label) for name in equation.fields]
        self._recorded = tuple(name for name in equation.fields if name != "site")
        self._sites = frozenset(equation.sites)
        self._outcome, self._model = card.outcome.model_dump(), describe_model(champion)
        self._base_rate = BaseRatePart(
            probability=card.population.base_rate, n=card.population.courses
        )
        self._note = f"{SIMULATED_NOTE}. {card.note}" if card.simulated else card.note

    def answer(
        self, columns: Columns, eligibility: Eligibility, detail: Detail | None = None
    ) -> Answers:
        """Answer the rows of the champion's conditions, with intervals unless briefly."""
        asked = (columns.get_numbers("condition") == self._conditions).any(axis=0)
        columns, eligibility = columns.select(asked), eligibility.select(asked)
        model, explanation = self._prepared, None
        if detail == "full":
            prediction, explanation = model.predict_and_explain(columns)
        elif detail == "brief":
            prediction = model.predict_briefly(columns, self._least)
        else:
            prediction = model.predict(columns)
        abstained = self._abstain(columns, eligibility, prediction)
        rows = np.flatnonzero(asked)
        return Answers(self._champion, rows, columns, prediction, abstained, explanation)

    def _abstain(
        self, columns: Columns, eligibility: Eligibility, prediction: Prediction
    ) -> list[AbstainedPart | None]:
        """Say for each row why no probability is given, or None."""
        few = prediction.effective_sample_size < self._least
        unmeasured = columns.find_missing(self._outcome["instrument"])
        unread = find_unread(columns, self._early)
        outside = self._studied.find_outside(columns)
        first = np.array([few, unmeasured, unread])
        marks = np.concatenate([first, outside, eligibility.find_refusing()])
        if not np.count_nonzero(marks):
            return [None] * columns.size
        return describe_alike(marks, self._give_reason)

    def _give_reason(self, marks: bytes) -> AbstainedPart | None:
        """Give the gravest of the reasons that are marked for a row."""
        few, unmeasured, unread, *others = marks
        beyond = [name for name, mark in zip(self._studied.fields, others, strict=False) if mark]
        refusing = list_refusing_fields(others[len(self._studied.fields) :])
        reasons: tuple[tuple[Any, str, list[str]], ...] = (
            (refusing, REFUSED, refusing),
            (unmeasured, NO_BASELINE, [self._outcome["instrument"]]),
            (unread, NO_EARLY, self._early),
            (beyond, OUTSIDE, beyond),
            (few, TOO_FEW, []),
        )
        given = ((reason, fields) for marked, reason, fields in reasons if marked)
        reason, fields = next(given, (None, []))
        return None if reason is None else AbstainedPart(reason=reason, fields=fields)

    def describe(self, answers: Answers) -> list[Estimate]:
        """Put answers into the words of the contract."""
        said = zip(
            answers.prediction.probability.tolist(),
            answers.abstained,
            self._list_evidence(answers),
            strict=False,
        )
        return [
            {
                "outcome": self._outcome,
                "probability": probability if abstained is None else None,
                "interval": evidence.interval,
                "effective_sample_size": evidence.effective_sample_size,
                "base_rate": self._base_rate,
                "abstained": abstained,
                "intercept": evidence.intercept,
                "factors": evidence.factors,
                "imputed": evidence.imputed,
                "model": self._model,
                "note": self._note,
            }
            for probability, abstained, evidence in said
        ]

    def _list_evidence(self, answers: Answers) -> Iterator[Evidence]:
        """List what stands behind each answer, as far as it was asked for."""
        if answers.explanation is None:
            yield from repeat(Evidence(None, None, None, [], []))
            return
        prediction, facts = answers.prediction, self._champion.model.card.interval
        found = zip(
            answers.abstained,
            prediction.low.tolist(),
            prediction.high.tolist(),
            prediction.effective_sample_size.tolist(),
            answers.explanation.intercept.tolist(),
            self._list_factors(answers.explanation),
            self._list_imputed(answers.columns),
            strict=True,
        )
        level, method = facts.level, facts.method
        for abstained, low, high, size, intercept, factors, imputed in found:
            if abstained is None:
                interval: IntervalPart = {
                    "low": low,
                    "high": high,
                    "level": level,
                    "method": method,
                }
                yield Evidence(interval, size, intercept, factors, imputed)
            else:
                yield Evidence(None, None, None, [], imputed)

    def _list_factors(self, explanation: Explanation) -> list[list[FactorPart]]:
        """List what each field adds to the log-odds, largest first; not those that add nothing."""
        added, sizes = explanation.contributions, np.abs(explanation.contributions)
        order = np.argsort(-sizes, axis=1, kind="stable")
        counts = np.count_nonzero(sizes > NOTHING, axis=1)
        labels = self._labels
        return [
            [
                {"field": labels[place][0], "label": labels[place][1], "log_odds": row[place]}
                for place in places[:count]
            ]
            for row, places, count in zip(
                added.tolist(), order.tolist(), counts.tolist(), strict=True
            )
        ]

    def _list_imputed(self, columns: Columns) -> list[list[str]]:
        """List the fields that the model reads and each row lacks.

        A site that the model does not know counts: it gets the average site's effect.
        """
        missing = np.isnan(columns.stack(self._recorded))
        if self._sites:
            sites = columns.get_texts("site").tolist()
            unknown = np.array([[site not in self._sites for site in sites]], dtype=bool)
            missing = np.concatenate([missing, unknown])
        return describe_alike(missing, self._name_fields)

    def _name_fields(self, marks: bytes) -> list[str]:
        """Name the fields that are marked."""
        return [*compress(self._fields, marks)]


def describe_model(champion: Champion) -> ModelPart:
    """Say which model answered."""
    card = champion.model.card
    return ModelPart(
        name=card.name,
        version=champion.version,
        digest=champion.model.digest,
        data=card.data,
        card=f"/model#{card.name}",
    )
