"""The patients' Gaussian copula, conditioned on the recorded fields.

A recorded value confines its latent variable to an interval; missing latents are drawn by Gibbs
sampling, all patients at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.simulator.patients import measure_field
from experiments.simulator.published import LATENTS, make_correlations
from features.base.arrays import Flags, Numbers

_Below = Callable[[Numbers], Flags]

# Latents are searched up to here on both sides: 3 in 10^12 patients lie beyond.
_EDGE = 7.0
# Halvings of the 14 in between, until 5e-14 is left.
_HALVINGS = 48
# A latent with a narrower interval is held at its middle: a redraw would change next to nothing.
_NARROW = 0.25
# Sweeps of the Gibbs sampler that are dropped, since they remember the start.
_BURN_IN = 20


def compute_intervals(known: Mapping[str, Numbers]) -> tuple[Numbers, Numbers]:
    """Compute the interval of latent values that each recorded value allows.

    Parameters
    ----------
    known
        ``[patients]`` for each of ``LATENTS``, NaN if not recorded, and `condition`.

    Returns
    -------
    tuple
        Lows and highs, ``float64[latents, patients]``; infinite if nothing is recorded.
    """
    condition = known["condition"].astype(int)
    ends = [_compute_interval(name, known[name], condition) for name in LATENTS]
    lows, highs = zip(*ends, strict=True)
    return np.stack(lows), np.stack(highs)


def _compute_interval(
    name: str, values: Numbers, condition: NDArray[np.int64]
) -> tuple[Numbers, Numbers]:
    low, high = np.full(len(values), -np.inf), np.full(len(values), np.inf)
    known = ~np.isnan(values)
    # Thousands of patients share few distinct values, and bisection is the costly part.
    pairs = np.stack([values[known], condition[known].astype(float)])
    distinct, index = np.unique(pairs, axis=1, return_inverse=True)
    least, most = _invert_field(name, distinct[0], distinct[1].astype(int))
    low[known], high[known] = least[index.ravel()], most[index.ravel()]
    return low, high


def _invert_field(
    name: str, values: Numbers, condition: NDArray[np.int64]
) -> tuple[Numbers, Numbers]:
    """Compute the least and the greatest latent value that gives each value, by bisection."""
    edge = np.full(len(values), _EDGE)
    first, last = (measure_field(name, side * edge, condition) for side in (-1, 1))
    values = np.clip(values, first, last)  # one out of range counts as the nearest in it
    least = _bisect(lambda latent: measure_field(name, latent, condition) < values, edge)
    most = _bisect(lambda latent: measure_field(name, latent, condition) <= values, edge)
    least = np.where(values == first, -np.inf, least)
    return least, np.where(values == last, np.inf, most)


def _bisect(below: _Below, edge: Numbers) -> Numbers:
    low, high = -edge, edge
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        left = below(middle)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return (low + high) / 2


def draw_latents(
    lows: Numbers, highs: Numbers, sweeps: int, generator: np.random.Generator
) -> Iterator[Numbers]:
    """Draw latent variables within their intervals, sweep by sweep.

    Every patient has two chains whose noise is mirrored (antithetic draws): their mean has less
    variance than that of two independent ones.

    Yields
    ------
    ndarray
        ``float64[latents, 2 * patients]``, all patients twice; the same array every time.
    """
    lows, highs = np.tile(lows, 2), np.tile(highs, 2)
    latent = _start_within(lows, highs)
    updates = _plan_updates(lows, highs)
    for sweep in range(_BURN_IN + sweeps):
        for update in updates:
            update.draw(latent, generator)
        if sweep >= _BURN_IN:
            yield latent


def _start_within(lows: Numbers, highs: Numbers) -> Numbers:
    middle = special.ndtri((special.ndtr(lows) + special.ndtr(highs)) / 2)
    started: Numbers = np.clip(middle, np.maximum(lows, -_EDGE), np.minimum(highs, _EDGE))
    return started


@dataclass(frozen=True)
class _Update:
    index: int  # Of the latent
    # neighbours, weights: the latents that it depends on, and their weights in its conditional mean
    neighbours: NDArray[np.int64]
    weights: Numbers
    spread: float  # Its standard deviation given them
    # free, bounded: rows drawn without bounds, and within `low` and `high`
    free: NDArray[np.int64]
    bounded: NDArray[np.int64]
    low: Numbers
    high: Numbers

    def draw(self, latent: Numbers, generator: np.random.Generator) -> None:
        """Redraw this latent in its rows."""
        mean = self.weights @ latent[self.neighbours]
        half = generator.standard_normal(len(self.free) // 2)
        # Antithetic: both halves of the rows are the same patients, so that errors cancel out.
        noise = np.concatenate([half, -half])
        latent[self.index, self.free] = mean[self.free] + self.spread * noise
        if len(self.bounded):
            middle = mean[self.bounded]
            low, high = (self.low - middle) / self.spread, (self.high - middle) / self.spread
            part = generator.random(len(middle) // 2)
            part = np.concatenate([part, 1 - part])
            drawn = middle + self.spread * truncate_normal(low, high, part)
            latent[self.index, self.bounded] = np.clip(drawn, self.low, self.high)


def _plan_updates(lows: Numbers, highs: Numbers) -> list[_Update]:
    """Plan one update per latent; recorded ones without neighbours are never redrawn."""
    precision = np.linalg.inv(make_correlations())
    updates = []
    for index in range(len(precision)):
        weights = np.where(np.abs(precision[index]) > 1e-9, -precision[index], 0.0)
        weights = weights / precision[index, index]
        weights[index] = 0.0
        neighbours = np.flatnonzero(weights)
        width = highs[index] - lows[index]
        missing = np.isneginf(lows[index]) & np.isposinf(highs[index])
        bounded = np.flatnonzero(~missing & (width > _NARROW) & (len(neighbours) > 0))
        spread = float(1 / np.sqrt(precision[index, index]))
        ends = lows[index][bounded], highs[index][bounded]
        chosen = weights[neighbours]
        updates.append(
            _Update(index, neighbours, chosen, spread, np.flatnonzero(missing), bounded, *ends)
        )
    return updates


def truncate_normal(low: Numbers, high: Numbers, part: Numbers) -> Numbers:
    """Compute the quantile of the standard normal truncated to an interval.

    Computed in the lower tail, where small probabilities are exact.
    """
    flipped = low > 0
    least, most = np.where(flipped, -high, low), np.where(flipped, -low, high)
    start, stop = special.ndtr(least), special.ndtr(most)
    quantile = special.ndtri(start + np.where(flipped, 1 - part, part) * (stop - start))
    quantile = np.clip(quantile, least, most)
    unflipped: Numbers = np.where(flipped, -quantile, quantile)
    return unflipped
