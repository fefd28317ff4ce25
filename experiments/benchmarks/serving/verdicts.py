"""What serving must reach, and whether it did."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from experiments.benchmarks.models.verdicts import Verdict
from experiments.benchmarks.serving.load import Measurement
from experiments.benchmarks.serving.serving import Results, Round

LEAST_OF_ECHO, MOST_TIMES_ECHO = 0.45, 2.2
LEAST_OF_FASTAPI, LEAST_OF_MLFLOW = 0.75, 40
MOST_TAIL = 5
LEAST_FULL, LEAST_BRIEF = 20_000, 100_000
FIGURES = ("p50", "p99", "slowest", "rate", "patients_rate", "cpu", "patients_cpu")
COUNTS = ("answers", "checked", "failed", "wrong")


@dataclass(frozen=True)
class Row:
    """One task at one number of connections, each figure the median of its rounds."""

    task: str
    label: str
    connections: int
    rounds: int
    complaint: str
    p50: float
    p99: float
    slowest: float
    rate: float
    patients_rate: float
    cpu: float
    patients_cpu: float
    answers: int
    checked: int
    failed: int
    wrong: int


def list_rows(results: Results) -> list[Row]:
    """List what was measured, contestant by contestant."""
    rows = []
    for contestant in results.request.contestants:
        rounds = results.rounds.get(contestant.name, [])
        for task in contestant.tasks:
            for connections in task.connections:
                found = [
                    one.measured[task.name, connections]
                    for one in rounds
                    if (task.name, connections) in one.measured
                ]
                if found:
                    rows.append(take_medians(task.name, task.label, found))
    return rows


def take_medians(task: str, label: str, found: list[Measurement]) -> Row:
    """Take the median of each figure over rounds; counts are added up."""

    def middle(name: str) -> float:
        values = [getattr(one, name) for one in found if getattr(one, name) is not None]
        return float(median(values)) if values else float("nan")

    def total(name: str) -> int:
        return sum(getattr(one, name) for one in found)

    facts: dict[str, Any] = {name: middle(name) for name in FIGURES}
    facts |= {name: total(name) for name in COUNTS}
    complaint = next((one.complaint for one in found if one.complaint), "")
    return Row(task, label, found[0].connections, len(found), complaint, **facts)


def judge(results: Results) -> list[Verdict]:
    """Judge every goal; one whose parts were not measured cannot be told."""
    rows = {(row.task, row.connections): row for row in list_rows(results)}
    return [*judge_ratios(rows, results.rounds), *judge_batches(rows), judge_answers(rows)]


def answered_all(results: Results) -> bool:
    """Tell whether something was measured, and nothing went unanswered or wrong."""
    rows = list_rows(results)
    return bool(rows) and not any(row.failed or row.wrong for row in rows)


Rows = dict[tuple[str, int], Row]


def judge_ratios(rows: Rows, rounds: dict[str, list[Round]]) -> Iterator[Verdict]:
    """Judge our service beside the others, each ratio the median of those of the rounds."""
    for aim, figure, connections, other, bound, least in (
        ("requests a second at 16, of the echo's", "rate", 16, "echo", LEAST_OF_ECHO, True),
        ("p50 at 1, times the echo's", "p50", 1, "echo", MOST_TIMES_ECHO, False),
        ("requests a second at 16, of FastAPI's with our predictor", "rate", 16, "fastapi",
         LEAST_OF_FASTAPI, True),
        ("requests a second at 16, times MLflow's", "rate", 16, "mlflow", LEAST_OF_MLFLOW, True),
    ):  # fmt: skip
        ratios = [
            getattr(ours.measured["ours", connections], figure)
            / getattr(theirs.measured[other, connections], figure)
            for ours, theirs in zip(rounds.get("ours", []), rounds.get(other, []), strict=False)
            if ("ours", connections) in ours.measured
            and (other, connections) in theirs.measured
            and getattr(theirs.measured[other, connections], figure)
        ]
        yield judge_bound(aim, median(ratios) if ratios else None, bound, least, ".2f")
    ours = rows.get(("ours", 16))
    yield judge_bound(
        "p99 at 16, times p50", ours.p99 / ours.p50 if ours else None, MOST_TAIL, False, ".2f"
    )


def judge_batches(rows: Rows) -> Iterator[Verdict]:
    """Judge how many estimates a second of one core gives."""
    for task, what, least in (
        ("batch_1000", "in full", LEAST_FULL),
        ("batch_1000_brief", "in brief", LEAST_BRIEF),
    ):
        row = rows.get((task, 1))
        aim = f"estimates for a second of processor time, batches of 1,000, {what}"
        yield judge_bound(aim, row.patients_cpu if row else None, least, True, ",.0f")


def judge_bound(aim: str, found: float | None, bound: float, least: bool, form: str) -> Verdict:
    """Judge one figure against its bound.

    Examples
    --------
    >>> judge_bound("share", 0.5, 0.45, True, ".2f")
    Verdict(aim='share: at least 0.45', met=True, found='0.50')
    """
    told = f"{aim}: at {'least' if least else 'most'} {bound:,}"
    if found is None:
        return Verdict(told, None, "not measured")
    return Verdict(told, found >= bound if least else found <= bound, format(found, form))


def judge_answers(rows: Rows) -> Verdict:
    """Judge whether everybody answered everything, and rightly."""
    bad = [f"{row.label} at {row.connections} ({row.complaint})" for row in rows.values()
           if row.failed or row.wrong]  # fmt: skip
    answers, checked = (sum(getattr(r, n) for r in rows.values()) for n in ("answers", "checked"))
    told = f"{answers:,} answers, {checked:,} of them compared"
    aim = "every answer 200, and every one compared what it must be"
    return Verdict(aim, not bad if rows else None, "; ".join([told, *bad]))
