"""Outcomes: an instrument, a horizon and a criterion, e.g. ``phq9.acute.response``."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from features.errors import OutcomeError, Problem
from features.instruments import INSTRUMENTS, Instrument

CRITERIA = ("response", "remission")


@dataclass(frozen=True, slots=True)
class Horizon:
    """When an outcome is read, in days after the first dose, both ends included."""

    key: str
    label: str
    earliest_days: float
    latest_days: float


HORIZONS: Mapping[str, Horizon] = MappingProxyType(
    {
        horizon.key: horizon
        for horizon in (
            Horizon("day1", "12 hours to 3 days after the first dose", 0.5, 3),
            Horizon("week1", "4 to 10 days after the first dose", 4, 10),
            Horizon("week2", "11 to 17 days after the first dose", 11, 17),
            Horizon("acute", "at the end of the acute series, 14 to 45 days", 14, 45),
            Horizon("week12", "60 to 120 days after the first dose", 60, 120),
            Horizon("month6", "121 to 270 days after the first dose", 121, 270),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model predicts.

    Use :func:`parse_outcome`, which refuses what cannot be read.
    """

    instrument: Instrument
    horizon: Horizon
    criterion: str

    @property
    def id(self) -> str:
        """Full name, which is also the registered model's."""
        return f"{self.instrument.key}.{self.horizon.key}.{self.criterion}"

    @property
    def followup_field(self) -> str:
        """Cohort column with the follow-up total."""
        return f"{self.instrument.key}_{self.horizon.key}"

    @property
    def definition(self) -> str:
        """The outcome in words.

        Examples
        --------
        >>> parse_outcome("madrs.day1.response").definition
        'MADRS down by at least 50 % from baseline, 12 hours to 3 days after the first dose'
        """
        if self.criterion == "response":
            change = f"down by at least {self.instrument.response_percent} % from baseline"
        else:
            change = f"at most {self.instrument.remission_at_most}"
        return f"{self.instrument.name} {change}, {self.horizon.label}"

    def evaluate(
        self, baseline: NDArray[np.float64], followup: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Tell the outcome of each course: 1, 0, or NaN where it cannot be known.

        It cannot be known without both totals, nor where the baseline leaves nothing to improve:
        a total of 0 for response, one already in remission for remission.

        Examples
        --------
        >>> outcome = parse_outcome("phq9.acute.response")
        >>> outcome.evaluate(np.array([17.0, 17, 0, np.nan]), np.array([8.0, 9, 0, 3]))
        array([ 1.,  0., nan, nan])
        """
        if self.criterion == "response":
            met, open_to_change = self.instrument.find_response(baseline, followup), baseline > 0
        else:
            met = self.instrument.find_remission(followup)
            open_to_change = ~self.instrument.find_remission(baseline)
        known = ~np.isnan(baseline) & ~np.isnan(followup) & open_to_change
        return np.where(known, met.astype(np.float64), np.nan)

    def describe(self) -> dict[str, str]:
        """Return the outcome as estimates and cards carry it."""
        return {
            "id": self.id,
            "instrument": self.instrument.key,
            "horizon": self.horizon.key,
            "criterion": self.criterion,
            "definition": self.definition,
        }


def parse_outcome(text: str) -> Outcome:
    """Read ``instrument.horizon.criterion``.

    Raises
    ------
    OutcomeError
        If a part is unknown, if the instrument asks about more days than the horizon has, or if
        the criterion needs a cut-off that the instrument lacks.

    Examples
    --------
    >>> parse_outcome("phq9.acute.response").followup_field
    'phq9_acute'
    >>> parse_outcome("phq9.day1.response")
    Traceback (most recent call last):
    features.errors.OutcomeError: phq9.day1.response: 1 problem
      outcome (recall): PHQ-9 asks about the last 14 days; day1 ends 3 days after the first dose
    """
    problems = [
        Problem("outcome", part, f"must be one of: {', '.join(allowed)}")
        for part, found, allowed in _name_parts(text)
        if found not in allowed
    ]
    if problems or text.count(".") != 2:
        form = Problem("outcome", "form", "must be instrument.horizon.criterion")
        raise OutcomeError(problems or [form], source="outcome")
    instrument, horizon, criterion = text.split(".")
    outcome = Outcome(INSTRUMENTS[instrument], HORIZONS[horizon], criterion)
    if problems := _check_readable(outcome):
        raise OutcomeError(problems, source=outcome.id)
    return outcome


def _name_parts(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    parts = [*text.split("."), "", "", ""][:3]
    allowed = (tuple(INSTRUMENTS), tuple(HORIZONS), CRITERIA)
    return list(zip(("instrument", "horizon", "criterion"), parts, allowed, strict=True))


def _check_readable(outcome: Outcome) -> list[Problem]:
    instrument, horizon = outcome.instrument, outcome.horizon
    problems = []
    if instrument.shortest_recall > horizon.latest_days:
        message = (
            f"{instrument.name} asks about the last {instrument.shortest_recall} days; "
            f"{horizon.key} ends {horizon.latest_days:g} days after the first dose"
        )
        problems.append(Problem("outcome", "recall", message))
    if outcome.criterion == "remission" and instrument.remission_at_most is None:
        message = f"no total of {instrument.name} defines remission"
        problems.append(Problem("outcome", "remission", message))
    return problems
