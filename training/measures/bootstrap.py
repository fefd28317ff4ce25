"""The bootstrap: percentile intervals of measures over resampled patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from training.measures.intervals import Patients, make_measure
from training.measures.predictions import Predictions
from training.study.parts import MEASURE_LEVEL
from training.study.seeds import MEASURE_SEED, derive_seed
from training.study.study import Study

# Bootstrap samples are weighed in blocks of at most 32 MB, whatever the size of the cohort.
_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made: bootstrap samples, level, seed."""

    samples: int
    level: float
    seed: int


def make_interval_settings(study: Study) -> IntervalSettings:
    """Return how a study makes the intervals of its measures."""
    # One seed for all measures and models: they are compared on the same bootstrap samples.
    seed = derive_seed(study.seed, MEASURE_SEED)
    return IntervalSettings(study.validation.resamples, MEASURE_LEVEL, seed)


def _draw_patients(patients: Patients, samples: int, seed: int) -> Numbers:
    # How often each course is in each sample, ``[samples, courses]``. Numbers of copies of each
    # patient are multinomial; courses of one patient are drawn together, since they are correlated.
    generator = np.random.default_rng(seed)
    count = int(patients.max()) + 1
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=samples)
    return drawn[:, patients].astype(np.float64)


def resample(
    statistic: Callable[[Numbers], Numbers], predictions: Predictions, settings: IntervalSettings
) -> Numbers:
    """Compute a statistic on bootstrap samples of whole patients, ``[samples, ...]``.

    Parameters
    ----------
    statistic
        From weights ``[samples, predictions]`` to ``[samples, ...]``.
    """
    weights, patients = predictions.weights_or_ones, predictions.patients
    samples = settings.samples
    block = max(1, min(samples, _BLOCK_CELLS // len(patients)))
    return np.concatenate(
        [
            statistic(
                weights
                * _draw_patients(patients, min(block, samples - start), settings.seed + start)
            )
            for start in range(0, samples, block)
        ]
    )


def summarise_draws(value: float, drawn: Numbers, level: float) -> Measure:
    """Put the percentile interval of draws around a value; draws that are NaN are left out.

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
    predictions: Predictions,
    settings: IntervalSettings,
) -> dict[str, Measure]:
    """Measure statistics on the original sample, with percentile intervals over resampled patients.

    Parameters
    ----------
    statistic
        From weights ``[samples, predictions]`` to ``[samples, names]``.
    """
    values = statistic(predictions.weights_or_ones[None, :])[0]
    draws = resample(statistic, predictions, settings)
    return {
        name: summarise_draws(float(value), column, settings.level)
        for name, value, column in zip(names, values, draws.T, strict=True)
    }
