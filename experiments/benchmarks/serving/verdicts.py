"""What serving must reach, and whether it did."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from experiments.benchmarks.report import Verdict
from experiments.benchmarks.serving.load import Measurement
from experiments.benchmarks.serving.serving import Round, ServingResults

# Ratios to the other contestants on the same machine; only batches have absolute bounds.
_MIN_OF_ECHO, _MAX_TIMES_ECHO = 0.45, 2.2
_MIN_OF_FASTAPI, _MIN_OF_MLFLOW = 0.75, 40
_MAX_TAIL = 5
_MIN_FULL, _MIN_BRIEF = 20_000, 100_000
_FIGURES = ("p50", "p99", "slowest", "rate", "patients_rate", "cpu", "patients_cpu")
_COUNTS = ("answers", "checked", "failed", "wrong")


@dataclass(frozen=True)
class SpeedRow(Measurement):
    """One task at one number of connections: medians and sums over its rounds."""

    task: str = ""
    label: str = ""
    rounds: int = 0


Rows = dict[tuple[str, int], SpeedRow]


def list_speed_rows(results: ServingResults) -> list[SpeedRow]:
    """List what was measured, contestant by contestant."""
    rows = []
    for contestant in results.request.contestants:
        rounds = results.rounds.get(contestant.name, [])
        for task in contestant.tasks:
            for connections in task.connections:
                key = task.name, connections
                measured = [part.measured[key] for part in rounds if key in part.measured]
                if measured:
                    rows.append(_combine_rounds(task.name, task.label, measured))
    return rows


def _combine_rounds(task: str, label: str, measured: list[Measurement]) -> SpeedRow:
    facts: dict[str, Any] = {}
    for name in _FIGURES:
        values = [getattr(part, name) for part in measured if getattr(part, name) is not None]
        facts[name] = float(median(values)) if values else float("nan")
    facts |= {name: sum(getattr(part, name) for part in measured) for name in _COUNTS}
    facts["complaint"] = next((part.complaint for part in measured if part.complaint), "")
    connections, rounds = measured[0].connections, len(measured)
    return SpeedRow(connections, **facts, task=task, label=label, rounds=rounds)


def judge_serving(results: ServingResults) -> list[Verdict]:
    """Judge every target; one whose parts were not measured cannot be judged."""
    rows = {(row.task, row.connections): row for row in list_speed_rows(results)}
    return [*_judge_ratios(rows, results.rounds), *_judge_batches(rows), _judge_answers(rows)]


def has_answered_all(results: ServingResults) -> bool:
    """Return whether something was measured, and nothing went unanswered or wrong."""
    rows = list_speed_rows(results)
    return bool(rows) and not any(row.failed or row.wrong for row in rows)


# The machine's speed cancels out within each round.
def _judge_ratios(rows: Rows, rounds: dict[str, list[Round]]) -> Iterator[Verdict]:
    for aim, figure, connections, other, bound, is_minimum in (
        ("requests per second at 16, of the echo's", "rate", 16, "echo", _MIN_OF_ECHO, True),
        ("p50 at 1, times the echo's", "p50", 1, "echo", _MAX_TIMES_ECHO, False),
        ("requests per second at 16, of FastAPI's with our predictor", "rate", 16, "fastapi",
         _MIN_OF_FASTAPI, True),
        ("requests per second at 16, times MLflow's", "rate", 16, "mlflow", _MIN_OF_MLFLOW, True),
    ):  # fmt: skip
        ratios = [
            getattr(ours.measured["ours", connections], figure)
            / getattr(theirs.measured[other, connections], figure)
            for ours, theirs in zip(rounds.get("ours", []), rounds.get(other, []), strict=False)
            if ("ours", connections) in ours.measured
            and (other, connections) in theirs.measured
            and getattr(theirs.measured[other, connections], figure)
        ]
        yield _judge_bound(aim, median(ratios) if ratios else None, bound, is_minimum, ".2f")
    ours = rows.get(("ours", 16))
    tail = ours.p99 / ours.p50 if ours else None
    yield _judge_bound("p99 at 16, times p50", tail, _MAX_TAIL, False, ".2f")


def _judge_batches(rows: Rows) -> Iterator[Verdict]:
    for task, detail, least in (
        ("batch_1000", "in full", _MIN_FULL),
        ("batch_1000_brief", "in brief", _MIN_BRIEF),
    ):
        row = rows.get((task, 1))
        aim = f"estimates per second of processor time, batches of 1,000, {detail}"
        yield _judge_bound(aim, row.patients_cpu if row else None, least, True, ",.0f")


def _judge_bound(
    aim: str, value: float | None, bound: float, is_minimum: bool, form: str
) -> Verdict:
    """Judge one figure by its bound.

    Examples
    --------
    >>> _judge_bound("share", 0.5, 0.45, True, ".2f")
    Verdict(aim='share: at least 0.45', met=True, result='0.50')
    """
    target = f"{aim}: at {'least' if is_minimum else 'most'} {bound:,}"
    if value is None:
        return Verdict(target, None, "not measured")
    return Verdict(target, value >= bound if is_minimum else value <= bound, format(value, form))


def _judge_answers(rows: Rows) -> Verdict:
    failures = [f"{row.label} at {row.connections} ({row.complaint})" for row in rows.values()
                if row.failed or row.wrong]  # fmt: skip
    answers, checked = (sum(getattr(r, n) for r in rows.values()) for n in ("answers", "checked"))
    counts = f"{answers:,} answers under load, {checked:,} compared before it"
    aim = "every answer below status 400, and every compared one the library's"
    return Verdict(aim, not failures if rows else None, "; ".join([counts, *failures]))
