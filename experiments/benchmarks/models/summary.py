"""What the results amount to: shares of the attainable gain, paired differences, coverage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.benchmarks.methods.methods import BASE_RATE
from experiments.benchmarks.models.models import NULL
from experiments.benchmarks.results import Result

PLACES = ("known", "unseen")
World = tuple[str, int]


@dataclass(frozen=True)
class Gap:
    """Mean difference in log loss over worlds; below 0 the first is better.

    Parameters
    ----------
    error
        Standard error over worlds; None with a single one.
    """

    mean: float
    error: float | None
    worlds: int

    @property
    def is_clear(self) -> bool:
        """Whether the first is better beyond two standard errors."""
        return self.error is not None and self.mean < -2 * self.error


@dataclass(frozen=True)
class Row:
    """What one method reached with so many courses, at known or unseen sites, over all worlds.

    Parameters
    ----------
    share
        Of the gain in log loss over the base rate that the attainable probability has.
    picked
        How often each candidate stood behind the method.
    """

    method: str
    courses: int
    place: str
    worlds: int
    log_loss: float
    share: float | None
    auc: float
    slope: float | None
    coverage: float | None
    coverage_of_mean_site: float | None
    seconds: float
    picked: Mapping[str, int]


@dataclass(frozen=True)
class Board:
    """All results, to be asked in any way.

    Parameters
    ----------
    drawn, null
        Results by method, number of courses and world.
    """

    drawn: Mapping[tuple[str, int], Mapping[World, Result]]
    null: Mapping[tuple[str, int], Mapping[World, Result]]

    @property
    def methods(self) -> list[str]:
        """Methods with results in drawn worlds, in their order."""
        return list(dict.fromkeys(method for method, _ in self.drawn))

    @property
    def sizes(self) -> list[int]:
        """Numbers of courses."""
        return sorted({courses for _, courses in self.drawn})

    def list_results(self, method: str, courses: int) -> list[Result]:
        """List a method's results in drawn worlds."""
        return list(self.drawn.get((method, courses), {}).values())

    def list_rows(self) -> list[Row]:
        """Summarise every method at every size and place."""
        return [
            summarise(self, method, courses, place)
            for place in PLACES
            for courses in self.sizes
            for method in self.methods
            if self.list_results(method, courses)
        ]

    def compare(self, first: str, second: str, courses: int, place: str) -> Gap | None:
        """Compare two methods world by world; None where they share no world."""
        return compare(self.drawn, first, second, courses, place)


def arrange(found: Iterable[Result]) -> Board:
    """Arrange results."""
    drawn: dict[tuple[str, int], dict[World, Result]] = {}
    null: dict[tuple[str, int], dict[World, Result]] = {}
    for result in found:
        part = null if result["world"] == NULL else drawn
        place = part.setdefault((result["method"], result["courses"]), {})
        place[result["world"], result["cohort"]] = result
    return Board(drawn, null)


def summarise(board: Board, method: str, courses: int, place: str) -> Row:
    """Summarise a method over worlds."""
    results = board.list_results(method, courses)
    picked = [result["picked"] for result in results]
    return Row(
        method=method,
        courses=courses,
        place=place,
        worlds=len(results),
        log_loss=average(results, place, "log_loss") or np.nan,
        share=find_share(board, method, courses, place),
        auc=average(results, place, "auc") or np.nan,
        slope=average(results, place, "slope"),
        coverage=average(results, place, "coverage"),
        coverage_of_mean_site=average(results, place, "coverage_of_mean_site"),
        seconds=float(np.mean([result["seconds"] for result in results])),
        picked={name: picked.count(name) for name in dict.fromkeys(picked)},
    )


def average(results: Sequence[Result], place: str, name: str) -> float | None:
    """Average a score over results; None where none of them has it."""
    values = [result[place][name] for result in results if result[place][name] is not None]
    return float(np.mean(values)) if values else None


def find_share(board: Board, method: str, courses: int, place: str) -> float | None:
    """Find the share of the attainable gain: a ratio of means over worlds.

    The gain counts from the base rate of the same courses; with none, from the published one.
    """
    base = board.drawn.get((BASE_RATE, courses), {})
    mine = board.drawn.get((method, courses), {})
    worlds = [world for world in mine if world in base]
    if not worlds:
        return None
    losses = [base[world][place]["log_loss"] for world in worlds]
    gained = np.mean(losses) - np.mean([mine[world][place]["log_loss"] for world in worlds])
    gain = np.mean(losses) - np.mean([base[world][place]["attainable"] for world in worlds])
    return float(gained / gain)


def compare(
    results: Mapping[tuple[str, int], Mapping[World, Result]],
    first: str,
    second: str,
    courses: int,
    place: str,
) -> Gap | None:
    """Compare the log loss of two methods world by world."""
    one, other = (results.get((name, courses), {}) for name in (first, second))
    gaps = [
        one[world][place]["log_loss"] - other[world][place]["log_loss"]
        for world in one
        if world in other
    ]
    if not gaps:
        return None
    error = float(np.std(gaps, ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else None
    return Gap(float(np.mean(gaps)), error, len(gaps))
