"""The predictor: every champion's estimates of the same rows."""

from collections.abc import Sequence
from typing import Any, Literal

from features.base.errors import DictionaryError
from features.dictionary.dictionary import Dictionary, combine_dictionaries
from features.model.estimator import Estimates, Estimator
from features.records.columns import Columns
from features.records.eligibility import Eligibility, check_eligibility
from serving.models.champion import Champion

# How much an estimate holds: everything, or only a probability, or why there is none.
Detail = Literal["full", "brief"]
DETAILS: tuple[Detail, ...] = ("full", "brief")


class Predictor:
    """Estimates with every champion of a patient's condition.

    Raises DictionaryError if two champions define an instrument, field, agent or condition
    differently.
    """

    def __init__(self, champions: Sequence[Champion], least_sample_size: float) -> None:
        self.champions = tuple(champions)
        # Effective sample size below which there is no probability.
        self.least_sample_size = least_sample_size
        # What some champion knows: the built-in fields, and all additions.
        self.dictionary = _combine_dictionaries(self.champions)
        # Every answer is recorded with them.
        self.names = [(c.model.card.name, c.version) for c in self.champions]
        self.labels = tuple(
            f"{champion.model.card.name}@{champion.version} {champion.model.digest}"
            for champion in self.champions
        )
        self._estimators = [
            Estimator(champion.model, champion.version, least_sample_size, self.dictionary)
            for champion in self.champions
        ]

    def answer(self, columns: Columns, eligibility: Eligibility) -> list[Estimates]:
        """Estimate many rows at once, each champion the rows of its conditions; unexplained."""
        return [
            estimator.estimate(columns, eligibility, "interval") for estimator in self._estimators
        ]

    def estimate(self, columns: Columns, detail: Detail = "full") -> list[dict[str, Any]]:
        """Give each row its ``estimates``, and its ``eligibility`` by the rules.

        Brief estimates have the same probabilities, missing for the same reasons. Parts that rows
        share may be one object: read them, do not change them.
        """
        eligibility = check_eligibility(columns)
        results: list[dict[str, Any]] = [
            {"estimates": [], "eligibility": notices} for notices in eligibility.list_notices()
        ]
        for estimator in self._estimators:
            estimates = estimator.estimate(columns, eligibility, detail)
            described = estimator.describe(estimates)
            for row, estimate in zip(estimates.rows.tolist(), described, strict=True):
                results[row]["estimates"].append(estimate)
        return results


def _combine_dictionaries(champions: Sequence[Champion]) -> Dictionary:
    try:
        return combine_dictionaries(champion.model.card.dictionary for champion in champions)
    except DictionaryError as error:
        source = "champions whose studies define one thing differently"
        raise DictionaryError(error.problems, source) from None
