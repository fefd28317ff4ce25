"""What the results amount to: shares of the attainable gain, paired differences, coverage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.benchmarks.results import Result
from training.candidates.registry import BASE_RATE

NULL = "null"  # the world where nothing predicts response
SITE_KINDS = ("known", "unseen")
World = tuple[str, int]
ResultsByWorld = Mapping[tuple[str, int], Mapping[World, Result]]


@dataclass(frozen=True)
class Gap:
    """Mean difference in log loss over worlds; below 0 the first method is better."""

    mean: float
    error: float | None  # Standard error over worlds; None if there is only one
    worlds: int

    @property
    def is_clear(self) -> bool:
        """Whether the first is better beyond two standard errors."""
        return self.error is not None and self.mean < -2 * self.error

    def __str__(self) -> str:
        error = "one world only" if self.error is None else f"standard error {self.error:.4f}"
        return f"{self.mean:+.4f} ({error})"


@dataclass(frozen=True)
class ModelRow:
    """One method at one number of courses, at known or unseen sites, over all worlds."""

    method: str
    courses: int
    site_kind: str
    worlds: int
    log_loss: float
    # Of the gain in log loss over the base rate that the attainable probability has
    share: float | None
    auc: float
    slope: float | None
    coverage: float | None
    coverage_of_mean_site: float | None
    seconds: float
    selected: Mapping[str, int]  # How often each candidate stood behind the method

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        facts = asdict(self)
        return {"place": facts.pop("site_kind"), "picked": facts.pop("selected"), **facts}


@dataclass(frozen=True)
class Board:
    """All results, by method, number of courses and world; those of the null world apart."""

    drawn: ResultsByWorld
    null: ResultsByWorld

    @property
    def methods(self) -> list[str]:
        """Methods with results in drawn worlds, in their order."""
        return list(dict.fromkeys(method for method, _ in self.drawn))

    @property
    def sizes(self) -> list[int]:
        """Numbers of courses, ascending."""
        return sorted({courses for _, courses in self.drawn})

    def list_results(self, method: str, courses: int) -> list[Result]:
        """List a method's results in drawn worlds."""
        return list(self.drawn.get((method, courses), {}).values())

    def list_rows(self) -> list[ModelRow]:
        """Summarise every method at every size and kind of site."""
        return [
            _summarise(self, method, courses, kind)
            for kind in SITE_KINDS
            for courses in self.sizes
            for method in self.methods
            if self.list_results(method, courses)
        ]


def arrange_results(results: Iterable[Result]) -> Board:
    """Arrange results by method, size and world."""
    drawn: dict[tuple[str, int], dict[World, Result]] = {}
    null: dict[tuple[str, int], dict[World, Result]] = {}
    for result in results:
        part = null if result["world"] == NULL else drawn
        by_world = part.setdefault((result["method"], result["courses"]), {})
        by_world[result["world"], result["cohort"]] = result
    return Board(drawn, null)


def _summarise(board: Board, method: str, courses: int, kind: str) -> ModelRow:
    results = board.list_results(method, courses)
    selected = [result["picked"] for result in results]
    return ModelRow(
        method=method,
        courses=courses,
        site_kind=kind,
        worlds=len(results),
        log_loss=average_score(results, kind, "log_loss") or np.nan,
        share=_compute_share(board, method, courses, kind),
        auc=average_score(results, kind, "auc") or np.nan,
        slope=average_score(results, kind, "slope"),
        coverage=average_score(results, kind, "coverage"),
        coverage_of_mean_site=average_score(results, kind, "coverage_of_mean_site"),
        seconds=float(np.mean([result["seconds"] for result in results])),
        selected={name: selected.count(name) for name in dict.fromkeys(selected)},
    )


def average_score(results: Sequence[Result], kind: str, name: str) -> float | None:
    """Average a score over the results that have it; None if none has."""
    values = [result[kind][name] for result in results if result[kind][name] is not None]
    return float(np.mean(values)) if values else None


def _compute_share(board: Board, method: str, courses: int, kind: str) -> float | None:
    # A ratio of means over worlds. The gain counts from the base rate of the same courses; with
    # no courses, from the published one.
    base = board.drawn.get((BASE_RATE, courses), {})
    mine = board.drawn.get((method, courses), {})
    worlds = [world for world in mine if world in base]
    if not worlds:
        return None
    losses = [base[world][kind]["log_loss"] for world in worlds]
    gained = np.mean(losses) - np.mean([mine[world][kind]["log_loss"] for world in worlds])
    gain = np.mean(losses) - np.mean([base[world][kind]["attainable"] for world in worlds])
    return float(gained / gain)


def compare_methods(
    results: ResultsByWorld, first: str, second: str, courses: int, kind: str
) -> Gap | None:
    """Compare the log loss of two methods world by world; None if they share no world."""
    mine, theirs = (results.get((name, courses), {}) for name in (first, second))
    gaps = [
        mine[world][kind]["log_loss"] - theirs[world][kind]["log_loss"]
        for world in mine
        if world in theirs
    ]
    if not gaps:
        return None
    error = float(np.std(gaps, ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else None
    return Gap(float(np.mean(gaps)), error, len(gaps))
