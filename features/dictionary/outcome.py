"""Outcomes: an instrument, a horizon and a criterion, e.g. ``phq9.acute.response``.

An update outcome is estimated again after treatment has begun, from the baseline and from scores
read up to a checkpoint: ``hamd17.acute.response.after-week2``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from features.base.arrays import Numbers
from features.base.errors import OutcomeError, Problem
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.horizon import HORIZONS, Horizon
from features.dictionary.instrument import Instrument

CRITERIA = ("response", "remission")
UPDATE_MARK = ".after-"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model predicts. :func:`parse_outcome` makes it, and refuses what cannot be read."""

    instrument: Instrument
    horizon: Horizon
    criterion: str
    # When the estimate is updated; None if it is made before treatment.
    checkpoint: Horizon | None = None
    # Fields of the follow-up totals, of any instrument, that are read by the checkpoint and so may
    # be features.
    early_scores: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Full name, which is also the registered model's."""
        update = f"{UPDATE_MARK}{self.checkpoint.key}" if self.checkpoint else ""
        return f"{self.instrument.key}.{self.horizon.key}.{self.criterion}{update}"

    @property
    def followup_field(self) -> str:
        """Cohort column with the follow-up total."""
        return self.instrument.name_followup(self.horizon)

    @property
    def definition(self) -> str:
        """The outcome in words.

        Examples
        --------
        >>> parse_outcome("madrs.day1.response").definition
        'MADRS down by at least 50% from baseline, 12 hours to 3 days after the first dose'
        >>> parse_outcome("gad7.week12.remission.after-week2").definition
        'GAD-7 at most 4, 60 to 120 days after the first dose, estimated again after week 2'
        """
        if self.criterion == "response":
            change = f"down by at least {self.instrument.response_percent}% from baseline"
        else:
            change = f"at most {self.instrument.remission_at_most}"
        update = f", estimated again after {self.checkpoint.name}" if self.checkpoint else ""
        return f"{self.instrument.name} {change}, {self.horizon.label}{update}"

    @property
    def settled(self) -> str:
        """What courses do whose baseline total leaves nothing to improve, in words."""
        start = "start at 0" if self.criterion == "response" else "start in remission"
        return f"{start}: nothing to improve"

    def evaluate(self, baseline: Numbers, followup: Numbers) -> Numbers:
        """Return each course's outcome: 1 for an event, 0 for a non-event, NaN if unknown.

        It is unknown without both totals, and if the baseline leaves nothing to improve: a total of
        0 for response, one already in remission for remission.
        """
        if self.criterion == "response":
            met, open_to_change = self.instrument.has_responded(baseline, followup), baseline > 0
        else:
            met = self.instrument.is_in_remission(followup)
            open_to_change = ~self.instrument.is_in_remission(baseline)
        known = ~np.isnan(baseline) & ~np.isnan(followup) & open_to_change
        return np.where(known, met.astype(np.float64), np.nan)

    def measure(self, baseline: Numbers, followup: Numbers) -> Numbers:
        """Return the score that the outcome dichotomises; higher is better, NaN if unknown.

        For response the fall as a share of baseline, for remission minus the follow-up total.

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
        """Return the outcome as estimates and cards carry it, in JSON."""
        return {
            "id": self.id,
            "instrument": self.instrument.key,
            "horizon": self.horizon.key,
            "criterion": self.criterion,
            "definition": self.definition,
        }


def parse_outcome(text: str, dictionary: Dictionary | None = None) -> Outcome:
    """Read ``instrument.horizon.criterion``, and ``.after-horizon`` for an update outcome.

    Raises
    ------
    OutcomeError
        If a part is unknown, if the instrument asks about more days than the horizon has, if the
        criterion needs a cut-off that the instrument lacks, or if the horizon does not come after
        the checkpoint; lists every problem.

    Examples
    --------
    >>> parse_outcome("pas.acute.remission.after-week1").early_scores[:3]
    ('madrs_day1', 'hamd17_day1', 'hama_day1')
    >>> parse_outcome("phq9.day1.response")
    Traceback (most recent call last):
    features.base.errors.OutcomeError: phq9.day1.response: 1 problem
      outcome (recall): PHQ-9 asks about the last 14 days; day1 ends 3 days after the first dose
    """
    known = (dictionary or load_dictionary()).instruments
    named, mark, checkpoint = text.partition(UPDATE_MARK)
    parts = named.split(".")
    key, horizon, criterion = [*parts, "", "", ""][:3]
    until = checkpoint if mark else None
    allowed: list[tuple[str, str | None, Iterable[str]]] = [
        ("instrument", key, known),
        ("horizon", horizon, HORIZONS),
        ("criterion", criterion, CRITERIA),
        ("checkpoint", until, HORIZONS),
    ]
    unknown = [
        Problem("outcome", part, f"must be one of: {', '.join(names)}")
        for part, name, names in allowed
        if name is not None and name not in names
    ]
    if not unknown and len(parts) != 3:
        message = f"must be instrument.horizon.criterion, or that and {UPDATE_MARK}horizon"
        unknown = [Problem("outcome", "form", message)]
    problems = [*unknown, *_check_readable(known.get(key), horizon, criterion, until)]
    if problems:
        raise OutcomeError(problems, source="outcome" if unknown else text)
    update = HORIZONS[until] if until else None
    early = tuple(_list_early(known.values(), update)) if update else ()
    return Outcome(known[key], HORIZONS[horizon], criterion, update, early)


def _list_early(instruments: Iterable[Instrument], until: Horizon) -> Iterator[str]:
    for horizon, instrument in product(HORIZONS.values(), instruments):
        if horizon.latest_days <= until.latest_days and instrument.can_read(horizon):
            yield instrument.name_followup(horizon)


def _check_readable(
    instrument: Instrument | None, horizon: str, criterion: str, checkpoint: str | None
) -> Iterator[Problem]:
    read, until = HORIZONS.get(horizon), HORIZONS.get(checkpoint or "")
    if instrument and read and not instrument.can_read(read):
        yield Problem("outcome", "recall", instrument.explain_recall(read))
    if instrument and criterion == "remission" and instrument.remission_at_most is None:
        yield Problem("outcome", "remission", f"no total of {instrument.name} defines remission")
    if read and until and not read.comes_after(until):
        message = f"{read.key} does not come after the checkpoint {until.key}"
        yield Problem("outcome", "order", message)
