"""All worlds that can be drawn, as numbers: what `draw_world` draws, and what follows from it.

Every number that a world is drawn from is a standard normal one here (a uniform one is its
probability), so that samplers have one distribution to know.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.benchmarks.ideal_terms import (
    CURVED,
    MAINS,
    PAIRS,
    QUANTILES,
    Universe,
    find_universe,
)
from experiments.simulator.drawn import (
    AUCS,
    DECOY_SPREAD,
    DECOYS,
    DRIFT,
    DRIFT_SPREAD,
    LITERATURE_SPREAD,
    SHIFT_SPREAD,
    SITE_SPREADS,
    STEPPED,
    UNKNOWN_SHARES,
    WIDER,
    find_spread,
)
from experiments.simulator.effects import PUBLISHED, ROUTES
from experiments.simulator.sites import SITE_COUNT
from experiments.simulator.world import TARGETS, World

Numbers = NDArray[np.float64]
Single = NDArray[np.float32]
Places = NDArray[np.int64]

SLOPE_SPREAD = World("any").slope_spread
MOST_PAIRS, MOST_STEPS = 3, 2
# Terms that nobody published, in the order in which their places are kept.
UNKNOWN = MOST_PAIRS + MOST_STEPS + len(CURVED)
BLOCKS = {
    "factor": 1,
    "departures": len(PUBLISHED),
    "decoys": len(DECOYS),
    "thresholds": MOST_STEPS,
    "centres": len(CURVED),
    "sizes": UNKNOWN,
    "share": 1,
    "auc": 1,
    "shift": 1,
    "site_spread": 1,
    "drift": 1,
    "sites": SITE_COUNT,
    "slopes": SITE_COUNT,
}
ENDS = np.cumsum([0, *BLOCKS.values()])
SLICES = {name: slice(*ENDS[n : n + 2]) for n, name in enumerate(BLOCKS)}
SIZE = int(ENDS[-1])
# Where curves in age and BMI turn.
CENTRES = ((-1.0, 1.5), (-1.0, 1.0))
LATER = np.array([effect.later for effect in PUBLISHED])
SPREADS = WIDER * np.array([find_spread(effect) for effect in PUBLISHED])
# Columns of the universe.
FIRST_CURVE = 1 + len(MAINS)
FIRST_PAIR = FIRST_CURVE + len(CURVED)
FIRST_STEP = FIRST_PAIR + len(PAIRS)


@dataclass(frozen=True)
class Worlds:
    """Many worlds, as they were drawn.

    Parameters
    ----------
    normal
        ``float64[worlds, SIZE]``: standard normal numbers, in the order of ``BLOCKS``.
    wrong
        ``[worlds]``: the published effect with the wrong sign.
    pairs, steps
        ``[worlds, 3]`` and ``[worlds, 2]``: positions of pairs and of stepped features.
    all_pairs, all_steps
        ``bool[worlds]``: whether the last of them is in.
    """

    normal: Numbers
    wrong: Places
    pairs: Places
    steps: Places
    all_pairs: NDArray[np.bool_]
    all_steps: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of worlds."""
        return len(self.normal)

    def get(self, name: str) -> Numbers:
        """Return one block of the normal numbers."""
        return self.normal[:, SLICES[name]]

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Worlds":
        """Keep some worlds."""
        return Worlds(*(values[rows] for values in self.__dict__.values()))

    def choose(self, other: "Worlds", taken: NDArray[np.bool_]) -> "Worlds":
        """Take the other's worlds in some places."""
        mine, theirs = self.__dict__.values(), other.__dict__.values()
        return Worlds(
            *(
                np.where(taken.reshape(-1, *[1] * (a.ndim - 1)), b, a)
                for a, b in zip(mine, theirs, strict=True)
            )
        )


@dataclass(frozen=True)
class Equations:
    """What moves the log-odds in each of many worlds.

    Parameters
    ----------
    sizes
        ``float32[columns, worlds]``: log-odds of each column, times the world's strength.
    levels
        ``[routes, worlds]``: log-odds before effects and sites.
    drift
        ``[worlds]``: log-odds a year.
    effects, slopes
        ``[sites, worlds]``.
    site_spread
        ``[worlds]``.
    """

    sizes: Single
    levels: Single
    drift: Single
    effects: Single
    slopes: Single
    site_spread: Single


def draw_worlds(count: int, generator: np.random.Generator) -> Worlds:
    """Draw worlds from the distribution of all worlds."""
    return Worlds(
        normal=generator.standard_normal((count, SIZE)),
        wrong=generator.integers(len(PUBLISHED), size=count),
        pairs=generator.integers(len(PAIRS), size=(count, MOST_PAIRS)),
        steps=generator.permuted(np.tile(np.arange(len(STEPPED)), (count, 1)), axis=1)[:, :2],
        all_pairs=generator.random(count) < 0.5,
        all_steps=generator.random(count) < 0.5,
    )


def write_equations(worlds: Worlds) -> Equations:
    """Work out each world's equation, its strength and levels solved for as the simulator does."""
    universe = find_universe()
    known, unknown = place_known(worlds), place_unknown(worlds, universe)
    sizes = known + unknown * solve_shares(known, unknown, take(worlds, "share"), universe)[:, None]
    auc = stretch(take(worlds, "auc"), *AUCS)
    plain = universe.plain @ sizes.T.astype(np.float32)
    sizes *= solve_strengths(np.sort(plain, axis=0), auc)[:, None]
    single = sizes.T.astype(np.float32)
    levels = solve_levels(universe.mixed @ single, TARGETS["depression", "acute"])
    spread = stretch(take(worlds, "site_spread"), *SITE_SPREADS)
    return Equations(
        sizes=single,
        levels=(levels + SHIFT_SPREAD * take(worlds, "shift")).astype(np.float32),
        drift=(DRIFT + DRIFT_SPREAD * take(worlds, "drift")).astype(np.float32),
        effects=(spread * worlds.get("sites").T).astype(np.float32),
        slopes=(1 + SLOPE_SPREAD * worlds.get("slopes").T).astype(np.float32),
        site_spread=spread.astype(np.float32),
    )


def take(worlds: Worlds, name: str) -> Numbers:
    """Take a block that is a single number."""
    return worlds.get(name)[:, 0]


def stretch(normal: Numbers, low: float, high: float) -> Numbers:
    """Turn standard normal numbers into uniform ones of a range."""
    stretched: Numbers = low + (high - low) * special.ndtr(normal)
    return stretched


def place_known(worlds: Worlds) -> Numbers:
    """Place published effects and decoys in their columns; ``[worlds, columns]``."""
    factor = np.maximum(0, 1 + LITERATURE_SPREAD * worlds.get("factor"))
    drawn = factor * LATER + SPREADS * worlds.get("departures")
    rows = np.arange(worlds.size)
    turned = drawn[rows, worlds.wrong]
    published = LATER[worlds.wrong]
    drawn[rows, worlds.wrong] = -np.sign(published) * np.maximum(abs(published), abs(turned))
    placed = np.zeros((worlds.size, len(find_universe().mean)))
    placed[:, 1:FIRST_CURVE] = np.hstack([drawn, DECOY_SPREAD * worlds.get("decoys")])
    return placed


def place_unknown(worlds: Worlds, universe: Universe) -> Numbers:
    """Place what nobody published in its columns, up to a common factor; ``[worlds, columns]``."""
    raw = worlds.get("sizes")
    sizes = np.sign(raw) * special.ndtr(np.abs(raw))  # a sign, and uniform from .5 to 1
    sizes[:, MOST_PAIRS - 1] *= worlds.all_pairs
    sizes[:, MOST_PAIRS + MOST_STEPS - 1] *= worlds.all_steps
    placed, rows = np.zeros((worlds.size, len(universe.mean))), np.arange(worlds.size)
    deviation = np.sqrt(np.diag(universe.covariance))
    thresholds = np.rint(stretch(worlds.get("thresholds"), 0, len(QUANTILES) - 1)).astype(int)
    columns = np.hstack(
        [FIRST_PAIR + worlds.pairs, FIRST_STEP + len(QUANTILES) * worlds.steps + thresholds]
    )
    for place, column in enumerate(columns.T):
        placed[rows, column] += sizes[:, place] / deviation[column]
    for place in range(len(CURVED)):
        size = sizes[:, MOST_PAIRS + MOST_STEPS + place]
        centre = stretch(worlds.get("centres")[:, place], *CENTRES[place])
        placed += bend(place, size, centre, universe)
    return placed


def bend(place: int, size: Numbers, centre: Numbers, universe: Universe) -> Numbers:
    """Place a curve with a turning point of its own in each world: a square, a line, a constant."""
    placed = np.zeros((len(size), len(universe.mean)))
    line, square = 1 + MAINS.index(CURVED[place]), FIRST_CURVE + place
    covariance = universe.covariance
    variance = (
        covariance[square, square]
        - 4 * centre * covariance[square, line]
        + 4 * centre**2 * covariance[line, line]
    )
    scaled = size / np.sqrt(variance)
    placed[:, square], placed[:, line], placed[:, 0] = (
        scaled,
        -2 * centre * scaled,
        centre**2 * scaled,
    )
    return placed


def solve_shares(known: Numbers, unknown: Numbers, normal: Numbers, universe: Universe) -> Numbers:
    """Solve for the factors that give what is unknown its share of the variance."""
    share = stretch(normal, *UNKNOWN_SHARES)
    moved = unknown @ universe.covariance
    variance, together = (moved * unknown).sum(axis=1), (moved * known).sum(axis=1)
    rest = ((known @ universe.covariance) * known).sum(axis=1)
    half, whole = share * together, variance * (1 - share)
    factor: Numbers = (half + np.sqrt(half**2 + whole * share * rest)) / whole
    return factor


@cache
def tabulate_normal() -> tuple[Numbers, Numbers]:
    """Tabulate an oracle's AUC by the spread of normal log-odds, for a first guess."""
    spreads = np.linspace(0.01, 3, 60)
    moved = np.outer(special.ndtri((np.arange(500) + 0.5) / 500), spreads)
    return rank_oracles(moved.astype(np.float32)), spreads


def solve_strengths(ordered: Single, auc: Numbers) -> Numbers:
    """Solve for the strengths at which oracles rank patients with that AUC.

    Parameters
    ----------
    ordered
        ``[patients, worlds]``, each world's rising.
    """
    ranks, spreads = tabulate_normal()
    wanted = np.interp(auc, ranks, spreads)
    strength: Numbers = wanted / ordered.std(axis=0)
    for _ in range(2):
        found = rank_oracles(ordered * strength.astype(np.float32))
        strength = strength * wanted / np.interp(found, ranks, spreads)
    return strength


def rank_oracles(moved: Single) -> Numbers:
    """Compute the AUC to expect of true probabilities; ``[worlds]`` from ``[patients, worlds]``."""
    target = TARGETS["depression", "acute"][ROUTES.index("iv")]
    probability = spread_probability(moved + solve_levels(moved, (target,))[0])
    misses = 1 - probability
    lower = np.cumsum(misses, axis=0) - misses / 2
    pairs = probability.sum(axis=0) * misses.sum(axis=0)
    ranked: Numbers = ((probability * lower).sum(axis=0) / pairs).astype(float)
    return ranked


def solve_levels(moved: Single, targets: tuple[float, ...]) -> Single:
    """Solve for the levels at which mean probabilities are the targets; ``[targets, worlds]``."""
    distinct = dict.fromkeys(targets)
    found = {target: solve_level(moved, target) for target in distinct}
    return np.stack([found[target] for target in targets])


def solve_level(moved: Single, target: float) -> Single:
    """Solve for one level in each world by Newton's method from the normal approximation."""
    mean, variance = moved.mean(axis=0), moved.var(axis=0)
    level: Single = special.logit(np.float32(target)) * np.sqrt(1 + np.pi / 8 * variance) - mean
    for _ in range(2):
        probability = spread_probability(moved + level)
        slope = (probability * (1 - probability)).mean(axis=0)
        level = level - (probability.mean(axis=0) - np.float32(target)) / slope
    return level


def spread_probability(log_odds: Single) -> Single:
    """Turn log-odds into probabilities in place, in single precision for speed."""
    np.negative(log_odds, out=log_odds)
    np.exp(log_odds, out=log_odds)
    log_odds += 1
    return np.reciprocal(log_odds, out=log_odds)
