"""Horizons: when a follow-up is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DAYS_PER_YEAR = 365.25
DAYS_PER_MONTH = DAYS_PER_YEAR / 12


@dataclass(frozen=True, slots=True)
class Horizon:
    """When an outcome is read, in days after the first dose, both ends included."""

    key: str
    name: str
    label: str
    earliest_days: float
    latest_days: float

    def comes_after(self, other: "Horizon") -> bool:
        """Return whether it both begins and ends later than another."""
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


# When an estimate may be updated: every horizon that another one comes after.
CHECKPOINTS = tuple(
    horizon
    for horizon in HORIZONS.values()
    if any(other.comes_after(horizon) for other in HORIZONS.values())
)
