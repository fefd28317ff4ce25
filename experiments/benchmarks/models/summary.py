"""What the results amount to: shares of the attainable gain, paired differences, coverage."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.benchmarks.results import Result
from experiments.benchmarks.scores import THIRDS
from training.candidates.registry import BASE_RATE

NULL = "null"  # the world where nothing predicts response
SITE_KINDS = ("known", "unseen")
COVERAGES = ("coverage", *(f"coverage_{third}" for third in THIRDS))
# A pandas data frame with a row per result and kind of site, its `place`; pandas comes without
# types here.
Board = Any

_FACTS = ["world", "cohort", "courses", "method", "picked", "seconds"]
_SCORES = ["log_loss", "attainable", "auc", "slope", "coverage_of_mean_site", *COVERAGES]
_SUMMARISED = ["log_loss", "auc", "slope", "coverage", "coverage_of_mean_site", "seconds"]


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


def arrange_results(results: Iterable[Result]) -> Board:
    """Arrange results as a table, undefined scores as NaN."""
    rows = [result | result[kind] | {"place": kind} for kind in SITE_KINDS for result in results]
    table = pd.DataFrame(rows, columns=["place", *_FACTS, *_SCORES])
    return table.astype(dict.fromkeys(_SCORES, float))


def select_drawn(board: Board) -> Board:
    """Select the results in drawn worlds."""
    return board[board["world"] != NULL]


def summarise_methods(board: Board) -> list[dict[str, Any]]:
    """Summarise every method at every number of courses and kind of site, over drawn worlds.

    Returns
    -------
    list of dict
        Means over worlds, None if undefined; `share` of the gain in log loss over the base rate
        that the attainable probability has; how often each candidate was `picked`.
    """
    groups = ["place", "courses", "method"]
    drawn = select_drawn(board).sort_values(groups[:2], kind="stable")
    shared, losses = [*groups[:2], "world", "cohort"], ["log_loss", "attainable"]
    base = drawn.loc[drawn["method"] == BASE_RATE, [*shared, *losses]]
    paired = drawn.merge(base, on=shared, suffixes=("", "_of_base"))
    means = paired.groupby(groups)[["log_loss", "log_loss_of_base", "attainable_of_base"]].mean()
    # A ratio of means over worlds. The gain counts from the base rate of the same courses; with
    # no courses, from the published one.
    gained = means["log_loss_of_base"] - means["log_loss"]
    grouped = drawn.groupby(groups, sort=False)
    rows = grouped[_SUMMARISED].mean()
    rows["share"] = gained / (means["log_loss_of_base"] - means["attainable_of_base"])
    rows["worlds"] = grouped.size()
    rows["picked"] = [part.value_counts(sort=False).to_dict() for _, part in grouped["picked"]]
    rows = rows.reset_index().astype(object)
    summaries: list[dict[str, Any]] = rows.where(rows.notna(), None).to_dict("records")
    return summaries


def compare_methods(board: Board, first: str, second: str) -> dict[tuple[int, str], Gap]:
    """Compare the log loss of two methods world by world.

    Returns
    -------
    dict
        By number of courses and kind of site, ascending; without those at which they share no
        world.
    """
    index = ["courses", "place", "world", "cohort"]
    losses = board.pivot_table("log_loss", index, "method")
    losses = losses.reindex(columns=[first, second])
    gaps = (losses[first] - losses[second]).dropna().groupby(index[:2])
    return {key: _average_gaps(part.to_numpy()) for key, part in gaps}


def _average_gaps(gaps: Any) -> Gap:
    error = float(np.std(gaps, ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else None
    return Gap(float(np.mean(gaps)), error, len(gaps))
