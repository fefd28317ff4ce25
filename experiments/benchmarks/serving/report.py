"""The report on serving: tables of what was measured, and under what conditions."""

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
from experiments.benchmarks.report import Figure, Report, Section, format_table, format_verdicts
from experiments.benchmarks.serving.serving import ServingResults
from experiments.benchmarks.serving.verdicts import combine_rounds, judge_serving

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
    starts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for start in results.starts:
        starts[start["contestant"]].append({k: v for k, v in start.items() if k != "contestant"})
    data = {
        "data": "SIMULATED",
        "request": {"rounds": request.rounds, "seconds": request.seconds},
        "model": results.model,
        "cores": asdict(results.cores),
        "machine": machine,
        # By pandas' own writer: its numbers are not Python's, and undefined ones become null.
        "rows": json.loads(rows.to_json(orient="records", double_precision=15)),
        "starts": starts,
        "absent": results.absent,
    }
    section = Section("benchmark serving", "benchmarks/serving.md", blocks, figure)
    return Report([section], data, verdicts)


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
