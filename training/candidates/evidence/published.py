"""What the literature says before any patient of one's own: base rates, and the size of effects.

The figures and their sources are in ``published.toml``; ``docs/reference/evidence.md`` prints them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from features.dictionary.outcome import Outcome

_TABLES: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

# Spread of sites' base rates on the log-odds scale over 13 published acute rates.
SITE_SPREAD = 0.53
# Standard deviation of clinics' base rates around the published one. Assumed: the
# spread of sites, widened for other instruments and other ways of treating.
BASE_RATE_SPREAD = 0.8
# With no published base rate: standard deviation of the log-odds about even odds. Assumed: at 1.5
# the share is spread almost evenly between 0 and 1.
UNKNOWN_BASE_RATE_SPREAD = 1.5
# Of a route's difference from the overall base rate, in log-odds. Assumed.
ROUTE_SPREAD = 0.4
# Per standard deviation of a feature that no study reports. Assumed.
UNKNOWN_SPREAD = 0.06
# Per standard deviation of the outcome's own baseline total, as published for the PHQ-9.
SEVERITY_SIZE, SEVERITY_SPREAD = -0.10, 0.12
# Log-odds a year by which a clinic's base rate may drift. Assumed.
TREND_SPREAD = 0.10
# The same of a score read during treatment, which predicts better than any baseline. Assumed.
EARLY_SPREAD = 0.6
# Remission over response, over the published acute rates: 28.9 of 53.6%, 15 of 26%.
_REMISSION_SHARE = 0.55
# Horizons without a row of their own take that of the nearest one.
_NEAREST_HORIZON = MappingProxyType({"week1": "acute", "week2": "acute", "month6": "week12"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the literature says of one feature.

    Parameters
    ----------
    unit
        How much of the feature the sizes are for.
    first_day, later
        Log-odds of response for that much more, at `day1` and at every later horizon.
    spread
        Standard deviation of what it may be at one clinic, in the same log-odds.
    mean, deviation
        Of the feature in the published cohorts.
    agreed
        Whether two sources or more agree on the sign, so that boosted trees are held to it.
    recalled
        Whether the figure was not seen in a source.
    """

    feature: str
    unit: float = 1.0
    first_day: float
    later: float
    spread: float
    mean: float
    deviation: float
    source: str
    recalled: bool = False
    agreed: bool = False

    def size(self, horizon: str) -> float:
        """Log-odds for one of the feature's own units."""
        return (self.first_day if horizon == "day1" else self.later) / self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class _BaseRate:
    # An empty route stands for all routes together.
    condition: str
    horizon: str
    route: str = ""
    share: float
    source: str


EFFECTS: Mapping[str, Effect] = MappingProxyType(
    {name: Effect(feature=name, **entry) for name, entry in _TABLES["effects"].items()}
)
BASE_RATES = tuple(_BaseRate(**entry) for entry in _TABLES["base_rates"])
# Boosted trees are held to these, so that a few dozen patients cannot teach them the opposite.
SIGNS: Mapping[str, int] = MappingProxyType(
    {name: 1 if effect.later > 0 else -1 for name, effect in EFFECTS.items() if effect.agreed}
)


def look_up_base_rate(outcome: Outcome, condition: str | None, route: str = "") -> float | None:
    """Look up the published response or remission rate of a condition; None if there is none.

    The rate by that route, or else by any.

    >>> from features.dictionary.outcome import parse_outcome
    >>> look_up_base_rate(parse_outcome("madrs.day1.response"), "depression", "intranasal")
    0.18
    """
    horizon = _NEAREST_HORIZON.get(outcome.horizon.key, outcome.horizon.key)
    shares = {
        rate.route: rate.share
        for rate in BASE_RATES
        if (rate.condition, rate.horizon) == (condition, horizon)
    }
    share = shares.get(route, shares.get(""))
    if share is None:
        return None
    return share * _REMISSION_SHARE if outcome.criterion == "remission" else share
