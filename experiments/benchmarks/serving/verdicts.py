"""What serving must reach, and whether it did."""

from collections.abc import Iterator

import pandas as pd

from experiments.benchmarks.report import Verdict
from experiments.benchmarks.serving.serving import ServingResults

# Ratios to the other contestants on the same machine: what is compared, the figure, connections,
# the other, and the bound.
_RATIOS = (
    ("requests per second at 16, of the echo's", "rate", 16, "echo", 0.45),
    ("p50 at 1, times the echo's", "p50", 1, "echo", 2.2),
    ("requests per second at 16, of FastAPI's with our predictor", "rate", 16, "fastapi", 0.75),
    ("requests per second at 16, times MLflow's", "rate", 16, "mlflow", 40),
)
_MAX_TAIL = 5
# Only batches have absolute bounds.
_BATCHES = (("batch_1000", "in full", 20_000), ("batch_1000_brief", "in brief", 100_000))
_FIGURES = ("p50", "p99", "slowest", "rate", "patients_rate", "cpu", "patients_cpu")
_COUNTS = ("answers", "checked", "failed", "wrong")


def combine_rounds(results: ServingResults) -> pd.DataFrame:
    """Combine the rounds of each task and number of connections: medians, and sums of counts."""
    keys = ["task", "label", "connections"]
    ways = {
        **dict.fromkeys(_FIGURES, "median"),
        **dict.fromkeys(_COUNTS, "sum"),
        "complaint": "max",  # any; those of rounds without one are empty
        "round": "nunique",
    }
    measured = pd.DataFrame(results.measured, columns=[*keys, *ways])
    combined = measured.groupby(keys, sort=False, as_index=False).agg(ways)
    return combined.rename(columns={"round": "rounds"})


def has_answered_all(results: ServingResults) -> bool:
    """Return whether something was measured, and nothing went unanswered or wrong."""
    return bool(results.measured) and not any(r["failed"] or r["wrong"] for r in results.measured)


def judge_serving(results: ServingResults) -> list[Verdict]:
    """Judge every target; one whose parts were not measured cannot be judged."""
    rows = combine_rounds(results)
    return [*_judge_ratios(results), *_judge_figures(rows), _judge_answers(results, rows)]


def _judge_ratios(results: ServingResults) -> Iterator[Verdict]:
    measured = pd.DataFrame(
        results.measured, columns=["round", "task", "connections", "rate", "p50"]
    )
    for aim, figure, connections, other, bound in _RATIOS:
        # The machine's speed cancels out within each round.
        figures = measured.pivot_table(
            values=figure, index="round", columns=["task", "connections"]
        )
        compared = [(task, connections) for task in ("ours", other)]
        if set(compared) <= set(figures):
            ours, theirs = (figures[key] for key in compared)
            ratio = (ours / theirs.where(theirs > 0)).median()
        else:
            ratio = float("nan")
        yield _judge_bound(aim, ratio, bound, figure != "p50", ".2f")


def _judge_figures(rows: pd.DataFrame) -> Iterator[Verdict]:
    figures = rows.set_index(["task", "connections"])
    ours = figures.reindex([("ours", 16)]).iloc[0]
    yield _judge_bound("p99 at 16, times p50", ours["p99"] / ours["p50"], _MAX_TAIL, False, ".2f")
    for task, detail, bound in _BATCHES:
        aim = f"estimates per second of processor time, batches of 1,000, {detail}"
        rate = figures["patients_cpu"].get((task, 1), float("nan"))
        yield _judge_bound(aim, rate, bound, True, ",.0f")


def _judge_bound(aim: str, value: float, bound: float, is_minimum: bool, form: str) -> Verdict:
    """Judge one figure, not a number if it was not measured, by its bound.

    Examples
    --------
    >>> _judge_bound("share", 0.5, 0.45, True, ".2f")
    Verdict(aim='share: at least 0.45', met=True, result='0.50')
    """
    target = f"{aim}: at {'least' if is_minimum else 'most'} {bound:,}"
    if pd.isna(value):
        return Verdict(target, None, "not measured")
    met = value >= bound if is_minimum else value <= bound
    return Verdict(target, bool(met), format(value, form))


def _judge_answers(results: ServingResults, rows: pd.DataFrame) -> Verdict:
    failures = [
        f"{row.label} at {row.connections} ({row.complaint})"
        for row in rows[(rows["failed"] > 0) | (rows["wrong"] > 0)].itertuples()
    ]
    counts = (
        f"{rows['answers'].sum():,} answers under load, "
        f"{rows['checked'].sum():,} compared before it"
    )
    aim = "every answer below status 400, and every compared one the library's"
    met = has_answered_all(results) if results.measured else None
    return Verdict(aim, met, "; ".join([counts, *failures]))
