"""Outcomes: an instrument, a horizon and a criterion, e.g. ``phq9.acute.response``.

An update outcome is one estimated again after treatment has begun, from the baseline and from
scores read up to a checkpoint: ``hamd17.acute.response.after-week2``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from features.base.arrays import Numbers
from features.base.errors import OutcomeError, Problem
from features.dictionary.instruments import INSTRUMENTS, Instrument

CRITERIA = ("response", "remission")
UPDATE_MARK = ".after-"


@dataclass(frozen=True, slots=True)
class Horizon:
    """When an outcome is read, in days after the first dose, both ends included."""

    key: str
    name: str
    label: str
    earliest_days: float
    latest_days: float

    def comes_after(self, other: "Horizon") -> bool:
        """Tell whether it begins later and ends later than another.

        Examples
        --------
        >>> HORIZONS["acute"].comes_after(HORIZONS["week2"])
        True
        >>> HORIZONS["week1"].comes_after(HORIZONS["week2"])
        False
        """
        later = self.latest_days > other.latest_days
        return later and self.earliest_days > other.earliest_days


HORIZONS: Mapping[str, Horizon] = MappingProxyType(
    {
        horizon.key: horizon
        for horizon in (
            Horizon("day1", "day 1", "12 hours to 3 days after the first dose", 0.5, 3),
            Horizon("week1", "week 1", "4 to 10 days after the first dose", 4, 10),
            Horizon("week2", "week 2", "11 to 17 days after the first dose", 11, 17),
            Horizon(
                "acute", "the acute series", "at the end of the acute series, 14 to 45 days", 14, 45
            ),
            Horizon("week12", "week 12", "60 to 120 days after the first dose", 60, 120),
            Horizon("month6", "month 6", "121 to 270 days after the first dose", 121, 270),
        )
    }
)


# When an estimate may be made again: every horizon that another one comes after.
CHECKPOINTS = tuple(
    horizon
    for horizon in HORIZONS.values()
    if any(other.comes_after(horizon) for other in HORIZONS.values())
)


def name_followup(instrument: Instrument, horizon: Horizon) -> str:
    """Name the field with an instrument's total at a horizon."""
    return f"{instrument.key}_{horizon.key}"


def can_read(instrument: Instrument, horizon: Horizon) -> bool:
    """Tell whether an instrument asks about no more days than the horizon has."""
    return instrument.shortest_recall <= horizon.latest_days


def explain_recall(instrument: Instrument, horizon: Horizon) -> str:
    """Say why an instrument cannot be read at a horizon."""
    return (
        f"{instrument.name} asks about the last {instrument.shortest_recall} days; "
        f"{horizon.key} ends {horizon.latest_days:g} days after the first dose"
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model predicts.

    Use :func:`parse_outcome`, which refuses what cannot be read.

    Parameters
    ----------
    checkpoint
        When it is estimated again, for an update outcome; None for an estimate before treatment.
    """

    instrument: Instrument
    horizon: Horizon
    criterion: str
    checkpoint: Horizon | None = None

    @property
    def id(self) -> str:
        """Full name, which is also the registered model's."""
        update = f"{UPDATE_MARK}{self.checkpoint.key}" if self.checkpoint else ""
        return f"{self.instrument.key}.{self.horizon.key}.{self.criterion}{update}"

    @property
    def followup_field(self) -> str:
        """Cohort column with the follow-up total."""
        return name_followup(self.instrument, self.horizon)

    @property
    def early_scores(self) -> tuple[str, ...]:
        """Follow-up totals that may be features: those read by the checkpoint, of any instrument.

        Examples
        --------
        >>> [name for name in parse_outcome("pas.acute.remission.after-week1").early_scores][:3]
        ['madrs_day1', 'hamd17_day1', 'hama_day1']
        >>> parse_outcome("pas.acute.remission").early_scores
        ()
        """
        until = self.checkpoint
        if until is None:
            return ()
        return tuple(
            name_followup(instrument, horizon)
            for horizon in HORIZONS.values()
            for instrument in INSTRUMENTS.values()
            if horizon.latest_days <= until.latest_days and can_read(instrument, horizon)
        )

    @property
    def definition(self) -> str:
        """The outcome in words.

        Examples
        --------
        >>> parse_outcome("madrs.day1.response").definition
        'MADRS down by at least 50 % from baseline, 12 hours to 3 days after the first dose'
        >>> parse_outcome("gad7.week12.remission.after-week2").definition
        'GAD-7 at most 4, 60 to 120 days after the first dose, estimated again after week 2'
        """
        if self.criterion == "response":
            change = f"down by at least {self.instrument.response_percent} % from baseline"
        else:
            change = f"at most {self.instrument.remission_at_most}"
        update = f", estimated again after {self.checkpoint.name}" if self.checkpoint else ""
        return f"{self.instrument.name} {change}, {self.horizon.label}{update}"

    def evaluate(self, baseline: Numbers, followup: Numbers) -> Numbers:
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

    def measure(self, baseline: Numbers, followup: Numbers) -> Numbers:
        """Measure what the outcome is cut from; higher is better, NaN where it cannot be known.

        For response the fall as a share of baseline, for remission the follow-up total below 0.

        Examples
        --------
        >>> outcome = parse_outcome("phq9.acute.response")
        >>> outcome.measure(np.array([16.0, 20, 0]), np.array([8.0, 25, 3]))
        array([ 0.5 , -0.25,   nan])
        """
        known = ~np.isnan(self.evaluate(baseline, followup))
        if self.criterion == "remission":
            return np.where(known, -followup, np.nan)
        fall: Numbers = (baseline - followup) / np.where(known, baseline, np.nan)
        return fall

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
    """Read ``instrument.horizon.criterion``, and ``.after-horizon`` for an update outcome.

    Raises
    ------
    OutcomeError
        If a part is unknown, if the instrument asks about more days than the horizon has, if the
        criterion needs a cut-off that the instrument lacks, or if the horizon does not come after
        the checkpoint; lists every problem.

    Examples
    --------
    >>> parse_outcome("phq9.acute.response").followup_field
    'phq9_acute'
    >>> parse_outcome("phq9.day1.response")
    Traceback (most recent call last):
    features.base.errors.OutcomeError: phq9.day1.response: 1 problem
      outcome (recall): PHQ-9 asks about the last 14 days; day1 ends 3 days after the first dose
    """
    named, mark, checkpoint = text.partition(UPDATE_MARK)
    parts = named.split(".")
    instrument, horizon, criterion = [*parts, "", "", ""][:3]
    until = checkpoint if mark else None
    unknown = list(_check_parts(instrument, horizon, criterion, until))
    if not unknown and len(parts) != 3:
        message = f"must be instrument.horizon.criterion, or that and {UPDATE_MARK}horizon"
        unknown = [Problem("outcome", "form", message)]
    problems = [*unknown, *_check_readable(instrument, horizon, criterion, until)]
    if problems:
        raise OutcomeError(problems, source="outcome" if unknown else text)
    return Outcome(
        INSTRUMENTS[instrument], HORIZONS[horizon], criterion, HORIZONS[until] if until else None
    )


def _check_parts(
    instrument: str, horizon: str, criterion: str, checkpoint: str | None
) -> Iterator[Problem]:
    allowed: dict[str, tuple[str, tuple[str, ...]]] = {
        "instrument": (instrument, tuple(INSTRUMENTS)),
        "horizon": (horizon, tuple(HORIZONS)),
        "criterion": (criterion, CRITERIA),
    }
    if checkpoint is not None:
        allowed["checkpoint"] = (checkpoint, tuple(HORIZONS))
    for part, (found, known) in allowed.items():
        if found not in known:
            yield Problem("outcome", part, f"must be one of: {', '.join(known)}")


def _check_readable(
    instrument: str, horizon: str, criterion: str, checkpoint: str | None
) -> Iterator[Problem]:
    scale, read = INSTRUMENTS.get(instrument), HORIZONS.get(horizon)
    until = HORIZONS.get(checkpoint or "")
    if scale and read and not can_read(scale, read):
        yield Problem("outcome", "recall", explain_recall(scale, read))
    if scale and criterion == "remission" and scale.remission_at_most is None:
        yield Problem("outcome", "remission", f"no total of {scale.name} defines remission")
    if read and until and not read.comes_after(until):
        message = f"{read.key} does not come after the checkpoint {until.key}"
        yield Problem("outcome", "order", message)
