"""Intervals from a standard error, symmetric on a scale; and sums over patients for that error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from features.base.arrays import Numbers
from features.model.card import Measure

Patients = NDArray[np.int64]

# Scales on which an interval can be symmetric.
PLAIN, LOG, LOGIT = "plain", "log", "logit"


@dataclass(frozen=True)
class Estimated:
    """A number and its standard error; NaN if one is not defined."""

    value: float
    error: float

    def move(self, scale: str) -> "Estimated":
        """Move to a scale, the error by the delta method; both NaN if the value is not on it.

        >>> Estimated(0.5, 0.05).move("logit")
        Estimated(value=0.0, error=0.2)
        """
        if scale == PLAIN:
            return self
        inside = self.value > 0 and (scale == LOG or self.value < 1)
        if not inside:
            return UNDEFINED
        if scale == LOG:
            return Estimated(float(np.log(self.value)), self.error / self.value)
        slope = self.value * (1 - self.value)
        return Estimated(float(special.logit(self.value)), self.error / slope)

    def make_interval(self, level: float, scale: str = PLAIN) -> Measure:
        """Make the normal interval, symmetric on a scale.

        >>> Estimated(0.5, 0.05).make_interval(0.95).low
        0.4020018007729973
        """
        moved, reach = self.move(scale), find_reach(level)
        low, high = (
            return_from(scale, moved.value + side * reach * moved.error) for side in (-1, 1)
        )
        return make_measure(self.value, low, high)


UNDEFINED = Estimated(np.nan, np.nan)


def make_measure(value: float, low: float, high: float) -> Measure:
    """Make a measure of numbers that may be NaN."""
    if not np.isfinite(value):
        return Measure(value=None)
    if not (np.isfinite(low) and np.isfinite(high)):
        return Measure(value=float(value))
    return Measure(value=float(value), low=float(low), high=float(high))


def find_reach(level: float) -> float:
    """Find how many standard errors an interval reaches to either side: 1.96 at 0.95."""
    # Not scipy.stats, whose import takes longer than all else here; the digits are the same.
    return float(special.ndtri((1 + level) / 2))


def return_from(scale: str, value: float) -> float:
    """Return a number from a scale to its own."""
    if scale == LOG:
        return float(np.exp(value))
    return float(special.expit(value)) if scale == LOGIT else value


def fill_weights(weights: Numbers | None, size: int) -> Numbers:
    """Return the weights, or ones if all courses are equally weighted."""
    return np.ones(size) if weights is None else weights


def number_patients(patients: Patients | None, size: int) -> Patients:
    """Return the patients' numbers, or take each course as a patient of its own."""
    return np.arange(size) if patients is None else patients


def sum_by_patient(parts: Numbers, patients: Patients) -> Numbers:
    """Sum what each course adds, ``[courses]`` or ``[courses, columns]``, over each patient."""
    sums = np.zeros((int(patients.max()) + 1, *parts.shape[1:]))
    np.add.at(sums, patients, parts)
    return sums


def correct_few(count: int) -> float:
    """Return the small-sample correction of a variance between patients; NaN for one."""
    return count / (count - 1) if count > 1 else np.nan
