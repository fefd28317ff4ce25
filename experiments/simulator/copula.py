"""What recorded fields tell of those missing: the patients' Gaussian copula, conditioned.

A recorded value confines its latent variable to an interval; the latents of what is missing are
drawn by Gibbs sampling, every patient at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.simulator.patients import measure_field
from experiments.simulator.world import LATENTS, correlate
from features.base.arrays import Flags, Numbers

Below = Callable[[Numbers], Flags]

# Latents are sought between these; beyond lie three patients in a million millions.
EDGE = 7.0
HALVINGS = 48
# A value that leaves its latent less room than this is held at the middle of it.
NARROW = 0.25
BURN_IN = 20


def find_intervals(known: Mapping[str, Numbers]) -> tuple[Numbers, Numbers]:
    """Find between which latent values each recorded value lies.

    Parameters
    ----------
    known
        ``[patients]`` for each of ``LATENTS``, NaN where not recorded, and `condition`.

    Returns
    -------
    tuple
        Lows and highs, ``float64[latents, patients]``; infinite where nothing is recorded.
    """
    condition = known["condition"].astype(int)
    ends = [find_interval(name, known[name], condition) for name in LATENTS]
    lows, highs = zip(*ends, strict=True)
    return np.stack(lows), np.stack(highs)


def find_interval(
    name: str, values: Numbers, condition: NDArray[np.int64]
) -> tuple[Numbers, Numbers]:
    """Find between which latent values one field's recorded values lie."""
    low, high = np.full(len(values), -np.inf), np.full(len(values), np.inf)
    there = ~np.isnan(values)
    pairs = np.stack([values[there], condition[there].astype(float)])
    distinct, place = np.unique(pairs, axis=1, return_inverse=True)
    least, most = invert_field(name, distinct[0], distinct[1].astype(int))
    low[there], high[there] = least[place.ravel()], most[place.ravel()]
    return low, high


def invert_field(
    name: str, values: Numbers, condition: NDArray[np.int64]
) -> tuple[Numbers, Numbers]:
    """Find the least and the most latent value that gives each value, by halving.

    A value beyond what the field can have is taken as the nearest that it can.
    """
    edge = np.full(len(values), EDGE)
    first, last = (measure_field(name, side * edge, condition) for side in (-1, 1))
    values = np.clip(values, first, last)
    least = halve(lambda latent: measure_field(name, latent, condition) < values, edge)
    most = halve(lambda latent: measure_field(name, latent, condition) <= values, edge)
    least = np.where(values == first, -np.inf, least)
    return least, np.where(values == last, np.inf, most)


def halve(below: Below, edge: Numbers) -> Numbers:
    """Find where a condition that holds to the left ceases to hold."""
    low, high = -edge, edge
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        left = below(middle)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return (low + high) / 2


def draw_latents(
    lows: Numbers, highs: Numbers, sweeps: int, generator: np.random.Generator
) -> Iterator[Numbers]:
    """Draw latent variables within their intervals, again and again.

    Every patient is drawn twice, each time from a chain of its own, and what is chance in the one
    is mirrored in the other: their mean is the nearer to what many draws would give.

    Yields
    ------
    ndarray
        ``float64[latents, 2 * patients]``, all patients and all again; the same array every time.
    """
    lows, highs = np.tile(lows, 2), np.tile(highs, 2)
    latent = start_within(lows, highs)
    updates = plan_updates(lows, highs)
    for sweep in range(BURN_IN + sweeps):
        for update in updates:
            update.draw(latent, generator)
        if sweep >= BURN_IN:
            yield latent


def start_within(lows: Numbers, highs: Numbers) -> Numbers:
    """Start every latent at the median of its interval."""
    middle = special.ndtri((special.ndtr(lows) + special.ndtr(highs)) / 2)
    started: Numbers = np.clip(middle, np.maximum(lows, -EDGE), np.minimum(highs, EDGE))
    return started


@dataclass(frozen=True)
class Update:
    """How one latent is drawn given the others.

    Parameters
    ----------
    place
        Of the latent.
    neighbours, weights
        The latents that tell of it, and what each adds to its mean.
    spread
        Its standard deviation given them.
    free, bounded
        Rows drawn without bounds, and within `low` and `high`.
    """

    place: int
    neighbours: NDArray[np.int64]
    weights: Numbers
    spread: float
    free: NDArray[np.int64]
    bounded: NDArray[np.int64]
    low: Numbers
    high: Numbers

    def draw(self, latent: Numbers, generator: np.random.Generator) -> None:
        """Draw this latent anew in every row that asks for it."""
        mean = self.weights @ latent[self.neighbours]
        half = generator.standard_normal(len(self.free) // 2)
        noise = np.concatenate([half, -half])
        latent[self.place, self.free] = mean[self.free] + self.spread * noise
        if len(self.bounded):
            middle = mean[self.bounded]
            low, high = (self.low - middle) / self.spread, (self.high - middle) / self.spread
            part = generator.random(len(middle) // 2)
            part = np.concatenate([part, 1 - part])
            drawn = middle + self.spread * find_within(low, high, part)
            latent[self.place, self.bounded] = np.clip(drawn, self.low, self.high)


def plan_updates(lows: Numbers, highs: Numbers) -> list[Update]:
    """Plan how each latent is drawn; what is recorded and tells of nothing else is left alone."""
    precision = np.linalg.inv(correlate())
    updates = []
    for place in range(len(precision)):
        weights = np.where(np.abs(precision[place]) > 1e-9, -precision[place], 0.0)
        weights = weights / precision[place, place]
        weights[place] = 0.0
        neighbours = np.flatnonzero(weights)
        width = highs[place] - lows[place]
        missing = np.isneginf(lows[place]) & np.isposinf(highs[place])
        bounded = np.flatnonzero(~missing & (width > NARROW) & (len(neighbours) > 0))
        spread = float(1 / np.sqrt(precision[place, place]))
        ends = lows[place][bounded], highs[place][bounded]
        chosen = weights[neighbours]
        updates.append(
            Update(place, neighbours, chosen, spread, np.flatnonzero(missing), bounded, *ends)
        )
    return updates


def find_within(low: Numbers, high: Numbers, part: Numbers) -> Numbers:
    """Find the standard normal number that has a part of the interval's probability below it.

    Worked out in the lower tail, where small probabilities are exact.
    """
    flipped = low > 0
    least, most = np.where(flipped, -high, low), np.where(flipped, -low, high)
    start, stop = special.ndtr(least), special.ndtr(most)
    found = special.ndtri(start + np.where(flipped, 1 - part, part) * (stop - start))
    found = np.clip(found, least, most)
    within: Numbers = np.where(flipped, -found, found)
    return within
