"""Intervals: from a standard error, on the scale where it is symmetric, or by the bootstrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from features.base.arrays import Numbers
from features.model.card import Measure

Patients = NDArray[np.int64]

# Scales on which an interval can be symmetric. A share is not transformed, only kept within 0 to 1.
PLAIN, _SHARE, LOG, LOGIT = "plain", "share", "log", "logit"
# Bootstrap samples are weighed in blocks of at most 32 MB, whatever the size of the cohort.
_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Estimated:
    """A number and its standard error; NaN if one is not defined."""

    value: float
    error: float

    def move(self, scale: str) -> "Estimated":
        """Move to a scale, the error by the delta method; both NaN if the value is not on it.

        Examples
        --------
        >>> Estimated(0.5, 0.05).move("logit")
        Estimated(value=0.0, error=0.2)
        """
        if scale in (PLAIN, _SHARE):
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

        Examples
        --------
        >>> Estimated(0.5, 0.05).make_interval(0.95).low
        0.4020018007729973
        >>> Estimated(1.0, 0.0).make_interval(0.95, "logit")
        Measure(value=1.0, low=None, high=None)
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
    """Find how many standard errors an interval reaches to either side.

    Examples
    --------
    >>> round(find_reach(0.95), 6)
    1.959964
    """
    return float(stats.norm.ppf((1 + level) / 2))


def return_from(scale: str, value: float) -> float:
    """Return a number from a scale to its own.

    Examples
    --------
    >>> return_from("logit", 0.0), return_from("share", 1.2)
    (0.5, 1.0)
    """
    if scale == LOG:
        return float(np.exp(value))
    if scale == LOGIT:
        return float(special.expit(value))
    return float(np.clip(value, 0, 1)) if scale == _SHARE else value


def fill_weights(weights: Numbers | None, size: int) -> Numbers:
    """Return the weights, or ones if all courses are equally weighted."""
    return np.ones(size) if weights is None else weights


def number_patients(patients: Patients | None, size: int) -> Patients:
    """Return the patients' numbers, or take each course as a patient of its own."""
    return np.arange(size) if patients is None else patients


def sum_by_patient(parts: Numbers, patients: Patients) -> Numbers:
    """Sum what each course adds, ``[courses]`` or ``[courses, columns]``, over each patient.

    Examples
    --------
    >>> sum_by_patient(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]))
    array([3., 4.])
    """
    sums = np.zeros((int(patients.max()) + 1, *parts.shape[1:]))
    np.add.at(sums, patients, parts)
    return sums


def correct_few(count: int) -> float:
    """Return the small-sample correction of a variance between patients; NaN for one."""
    return count / (count - 1) if count > 1 else np.nan


def resample_patients(patients: Patients, samples: int, seed: int) -> Numbers:
    """Draw bootstrap samples of whole patients.

    Returns
    -------
    ndarray
        ``[samples, courses]``: how often each course is in each sample.
    """
    # Numbers of copies of each patient are multinomial; courses of one patient are drawn together,
    # since they are correlated.
    generator = np.random.default_rng(seed)
    count = int(patients.max()) + 1
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=samples)
    return drawn[:, patients].astype(np.float64)


def resample(
    statistic: Callable[[Numbers], Numbers],
    patients: Patients,
    samples: int,
    seed: int,
    weights: Numbers | None = None,
) -> Numbers:
    """Compute a statistic on bootstrap samples of whole patients.

    Parameters
    ----------
    statistic
        From weights ``[samples, courses]`` to ``[samples, ...]``.
    weights
        How much each course counts, ``[courses]``; None if all are equally weighted.

    Returns
    -------
    ndarray
        ``[samples, ...]``.
    """
    each = fill_weights(weights, len(patients))
    block = max(1, min(samples, _BLOCK_CELLS // len(patients)))
    return np.concatenate(
        [
            statistic(each * resample_patients(patients, min(block, samples - start), seed + start))
            for start in range(0, samples, block)
        ]
    )


def summarise_draws(value: float, drawn: Numbers, level: float) -> Measure:
    """Put the percentile interval of draws around a value; draws that are NaN are left out.

    Examples
    --------
    >>> summarise_draws(2.0, np.array([1.0, 2.0, 3.0, np.nan]), 0.5)
    Measure(value=2.0, low=1.5, high=2.5)
    """
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return make_measure(value, np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return make_measure(value, float(low), float(high))


def measure_resampled(
    names: Sequence[str],
    statistic: Callable[[Numbers], Numbers],
    patients: Patients,
    samples: int,
    level: float,
    seed: int,
    weights: Numbers | None = None,
) -> dict[str, Measure]:
    """Measure statistics on the original sample, with percentile intervals over resampled patients.

    Parameters
    ----------
    statistic
        From weights ``[samples, courses]`` to ``[samples, names]``.
    """
    values = statistic(fill_weights(weights, len(patients))[None, :])[0]
    draws = resample(statistic, patients, samples, seed, weights)
    return {
        name: summarise_draws(float(value), column, level)
        for name, value, column in zip(names, values, draws.T, strict=True)
    }
