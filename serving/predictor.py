"""The predictor: champions and validated columns in, estimates out. No web framework in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.contract import (
    SIMULATED_NOTE,
    AbstainedPart,
    BaseRatePart,
    Estimate,
    FactorPart,
    IntervalPart,
    ModelCard,
    ModelPart,
)
from features.eligibility import Eligibility, check_eligibility
from features.equation import Explanation
from features.fields import FIELDS
from features.response_model import Prediction
from features.studied import find_outside, find_unread, list_early
from serving.models import Champion

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
    """

    champion: Champion
    rows: NDArray[np.int64]
    columns: Columns
    prediction: Prediction
    abstained: list[AbstainedPart | None]


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

    def answer(self, columns: Columns, eligibility: Eligibility) -> list[Answers]:
        """Answer many rows at once, each champion the rows of its conditions."""
        conditions = columns.get_numbers("condition")
        answers = []
        for champion in self.champions:
            known = FIELDS["condition"].categories
            wanted = [known.index(name) for name in champion.model.card.conditions]
            rows = np.flatnonzero(np.isin(conditions, wanted))
            asked = columns.select(rows)
            prediction = champion.model.predict(asked)
            abstained = self._abstain(champion.model.card, asked, prediction, eligibility, rows)
            answers.append(Answers(champion, rows, asked, prediction, abstained))
        return answers

    def estimate(self, columns: Columns, detail: Detail = "full") -> list[dict[str, Any]]:
        """Give each row its estimates and what the eligibility rules say.

        Returns
        -------
        list of dict
            ``estimates`` and ``eligibility`` for each row, in order.
        """
        eligibility = check_eligibility(columns)
        results: list[dict[str, Any]] = [
            {"estimates": [], "eligibility": eligibility.list_notices(row)}
            for row in range(columns.size)
        ]
        for answers in self.answer(columns, eligibility):
            explanation = answers.champion.model.equation.explain(answers.columns)
            for place, row in enumerate(answers.rows):
                results[row]["estimates"].append(describe_estimate(answers, explanation, place))
        return results

    def _abstain(
        self,
        card: ModelCard,
        columns: Columns,
        prediction: Prediction,
        eligibility: Eligibility,
        rows: NDArray[np.int64],
    ) -> list[AbstainedPart | None]:
        refused = eligibility.find_refused()[rows]
        unmeasured = columns.find_missing(card.outcome.instrument)
        early = list_early(card)
        unread = find_unread(columns, early)
        outside = {found.field: find_outside(columns, found) for found in card.ranges}
        # Before the first outcome nobody is worth so many patients; whoever asked for such a model
        # wants to see how little it knows.
        least = self.least_sample_size if card.population.courses else 0
        few = prediction.effective_sample_size < least
        reasons: list[AbstainedPart | None] = []
        for place, row in enumerate(rows):
            beyond = [name for name, mask in outside.items() if mask[place]]
            if refused[place]:
                fields = eligibility.list_refusing_fields(int(row))
                reasons.append(AbstainedPart(reason=REFUSED, fields=fields))
            elif unmeasured[place]:
                fields = [card.outcome.instrument]
                reasons.append(AbstainedPart(reason=NO_BASELINE, fields=fields))
            elif unread[place]:
                reasons.append(AbstainedPart(reason=NO_EARLY, fields=early))
            elif beyond:
                reasons.append(AbstainedPart(reason=OUTSIDE, fields=beyond))
            else:
                reasons.append(AbstainedPart(reason=TOO_FEW, fields=[]) if few[place] else None)
        return reasons


def describe_estimate(answers: Answers, explanation: Explanation, place: int) -> Estimate:
    """Put one answer into the words of the contract."""
    card, prediction = answers.champion.model.card, answers.prediction
    silent = answers.abstained[place] is not None
    return Estimate(
        outcome=card.outcome.model_dump(),
        probability=None if silent else float(prediction.probability[place]),
        interval=None if silent else describe_interval(card, prediction, place),
        effective_sample_size=None if silent else float(prediction.effective_sample_size[place]),
        base_rate=BaseRatePart(probability=card.population.base_rate, n=card.population.courses),
        abstained=answers.abstained[place],
        intercept=None if silent else float(explanation.intercept[place]),
        factors=[] if silent else list(list_factors(explanation, place)),
        imputed=list(list_imputed(answers, place)),
        model=describe_model(answers.champion),
        note=f"{SIMULATED_NOTE}. {card.note}" if card.simulated else card.note,
    )


def describe_interval(card: ModelCard, prediction: Prediction, place: int) -> IntervalPart:
    """Describe the interval of one answer."""
    return IntervalPart(
        low=float(prediction.low[place]),
        high=float(prediction.high[place]),
        level=card.interval.level,
        method=card.interval.method,
    )


def list_factors(explanation: Explanation, place: int) -> Iterator[FactorPart]:
    """List what each field adds to the log-odds, largest first; nothing for those that add none."""
    added = explanation.contributions[place]
    for position in np.argsort(-np.abs(added), kind="stable"):
        if added[position] != 0:
            name = explanation.fields[position]
            yield FactorPart(field=name, label=FIELDS[name].label, log_odds=float(added[position]))


def list_imputed(answers: Answers, place: int) -> Iterator[str]:
    """List the fields that the model reads and the assessment lacks.

    A site that the model does not know counts: it gets the average site's effect.
    """
    equation, columns = answers.champion.model.equation, answers.columns
    for name in equation.fields:
        if name == "site":
            if columns.get_texts(name)[place] not in equation.sites:
                yield name
        elif np.isnan(columns.get_numbers(name)[place]):
            yield name


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
