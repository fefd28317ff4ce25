"""The report on serving: what was measured, under what conditions, and whether it suffices."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.benchmarks.charts import OTHERS_COLOUR, OURS_COLOUR, draw_panels
from experiments.benchmarks.installed import list_versions
from experiments.benchmarks.report import (
    Figure,
    Report,
    Section,
    Verdict,
    format_table,
    format_verdicts,
)
from experiments.benchmarks.serving.serving import ServingResults

_PACKAGES = (
    *("bentoml", "mlflow", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson"),
    *("numpy", "scikit-learn", "pandas", "pydantic"),
)
_CPU_FACTS = Path("/proc/cpuinfo")
_SPEED_HEADING = [
    "service", "connections", "p50, ms", "p99, ms", "slowest, ms", "requests/s", "patients/s",
    "processor, ms per request",
]  # fmt: skip
_MEMORY_HEADING = ["service", "ready after, s", "resident, MiB", "proportional, MiB", "peak, MiB"]
_MEMORY_TEXT = (
    "Resident memory after the load, summed over a service's processes; proportional memory "
    "divides what they share; the peak is the sum of each process's own."
)
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


def report_serving(results: ServingResults) -> Report:
    """Report on latencies, rates, memory and verdicts."""
    request, verdicts, rows = results.request, judge_serving(results), combine_rounds(results)
    machine = _collect_machine()
    cores = (
        "The server had one core, the client another."
        if results.cores.server is not None
        else "Server and client shared all cores: this machine has one, or does not let choose."
    )
    blocks = [
        f"SIMULATED patients. {_describe_model(results.model)}",
        f"{'One round' if request.rounds == 1 else f'Median of {request.rounds} rounds'}, "
        f"contestants in turn; each figure from {request.seconds} s of wrk, after every question "
        "was asked and its answer compared; as many requests in progress as connections. " + cores,
        format_table(_SPEED_HEADING, map(_format_speed, rows.itertuples())),
        _MEMORY_TEXT,
        format_table(_MEMORY_HEADING, _list_memory(results)),
        *(f"ABSENT: `{name}`: {reason}." for name, reason in results.absent.items()),
        format_verdicts(verdicts),
        _describe_machine(machine),
    ]
    alternative = "Latency and rate of each service, SIMULATED patients"
    figure = Figure(alternative, "benchmark-serving.png", partial(_draw_speeds, rows))
    section = Section("benchmark serving", "benchmarks/serving.md", blocks, figure)
    return Report([section], _collect_data(results, rows, machine), verdicts)


def _collect_data(
    results: ServingResults, rows: pd.DataFrame, machine: dict[str, Any]
) -> dict[str, Any]:
    starts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for start in results.starts:
        starts[start["contestant"]].append({k: v for k, v in start.items() if k != "contestant"})
    return {
        "data": "SIMULATED",
        "request": {"rounds": results.request.rounds, "seconds": results.request.seconds},
        "model": results.model,
        "cores": asdict(results.cores),
        "machine": machine,
        # By pandas' own writer: its numbers are not Python's, and undefined ones become null.
        "rows": json.loads(rows.to_json(orient="records", double_precision=15)),
        "starts": starts,
        "absent": results.absent,
    }


def _describe_model(model: Mapping[str, Any]) -> str:
    return (
        f"Served is `{model['name']}`, `{model['candidate']}` of {model['courses']:,} courses with "
        f"{model['redevelopments']} bootstrap refits behind each interval; asked about "
        f"{model['assessments']} different patients, a quarter of them with few fields; with a key."
    )


def _format_speed(row: Any) -> list[str]:
    return [
        row.label,
        str(row.connections),
        *(f"{value:.2f}" for value in (row.p50, row.p99)),
        f"{row.slowest:.0f}",
        f"{row.rate:,.0f}" if row.rate >= 10 else f"{row.rate:.1f}",
        f"{row.patients_rate:,.0f}",
        f"{row.cpu:.2f}",
    ]


def _list_memory(results: ServingResults) -> Iterator[list[str]]:
    for contestant in results.request.contestants:
        starts = [start for start in results.starts if start["contestant"] == contestant.name]
        if starts:
            medians = pd.DataFrame(starts).drop(columns="contestant").astype(float).median()
            shared = medians["proportional"]
            yield [
                contestant.tasks[0].label if len(contestant.tasks) == 1 else "ours, batches",
                f"{medians['seconds']:.1f}",
                f"{medians['resident']:.0f}",
                "unknown" if pd.isna(shared) else f"{shared:.0f}",
                f"{medians['peak']:.0f}",
            ]


def _collect_machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": _read_processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": list_versions(_PACKAGES),
    }


def _describe_machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"Measured on {machine['cores']} cores ({machine['processor']}), {machine['system']}, "
        f"Python {machine['python']}; {versions}."
    )


def _read_processor() -> str:
    if _CPU_FACTS.is_file():
        for line in _CPU_FACTS.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unnamed processor"


def _draw_speeds(rows: pd.DataFrame, path: Path) -> None:
    busy = list(rows[rows["connections"] > 1].itertuples())
    idle = rows[(rows["connections"] == 1) & ~rows["task"].str.startswith("batch")]
    title = "SIMULATED patients, one assessment per request, one core for the server"
    with draw_panels(path, (11, 3.2), 2, title) as (_, (left, right)):
        for index, row in enumerate(busy):
            left.plot(row.rate, index, "o", color=_choose_colour(row))
            left.text(row.rate, index, f"   {_show_digits(row.rate)}", va="center")
        _label_axes(left, busy, "requests per second, 16 connections")
        for index, row in enumerate(idle.itertuples()):
            right.plot([row.p50, row.p99], [index] * 2, color=_choose_colour(row), linewidth=2)
            right.plot(row.p50, index, "o", color=_choose_colour(row))
            limits = f"  {_show_digits(row.p50)} to {_show_digits(row.p99)}"
            right.text(row.p99, index, limits, va="center")
        _label_axes(right, list(idle.itertuples()), "ms to the answer, 1 connection, p50 to p99")


def _label_axes(axes: Any, rows: Sequence[Any], label: str) -> None:
    axes.set_yticks(range(len(rows)), [row.label.replace("`", "") for row in rows])
    axes.set(xlabel=f"{label} (logarithmic)", xscale="log", ylim=(len(rows) - 0.5, -0.5))
    axes.margins(x=0.25)


def _show_digits(value: float) -> str:
    """Format a value with about two digits.

    Examples
    --------
    >>> _show_digits(1234.5), _show_digits(0.27)
    ('1,234', '0.27')
    """
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _choose_colour(row: Any) -> str:
    return OURS_COLOUR if row.task == "ours" else OTHERS_COLOUR


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
