"""The report on serving: tables of what was measured, and under what conditions."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from experiments.benchmarks.charts import OTHERS_COLOUR, OURS_COLOUR, draw_panels
from experiments.benchmarks.installed import list_versions
from experiments.benchmarks.report import Figure, Report, Section, format_table, format_verdicts
from experiments.benchmarks.serving.serving import ServingResults
from experiments.benchmarks.serving.verdicts import SpeedRow, judge_serving, list_speed_rows

_PACKAGES = (
    *("bentoml", "mlflow", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson"),
    *("numpy", "scikit-learn", "pandas", "pydantic"),
)
_CPU_FACTS = Path("/proc/cpuinfo")
_SPEED_HEADING = [
    "service", "connections", "p50, ms", "p99, ms", "slowest, ms", "requests/s", "patients/s",
    "processor, ms per request",
]  # fmt: skip
_STEPS_HEADING = ["step", "in full, µs per patient", "in brief, µs per patient"]
_STEPS_TEXT = (
    "Where the time of a batch of 1,000 goes, its steps timed separately in one process on the "
    "server's core; a request takes the audit's row, counting, and HTTP as well."
)
_MEMORY_HEADING = ["service", "ready after, s", "resident, MiB", "proportional, MiB", "peak, MiB"]
_MEMORY_TEXT = (
    "Resident memory after the load, summed over a service's processes; proportional memory "
    "divides what they share; the peak is the sum of each process's own."
)


def report_serving(results: ServingResults) -> Report:
    """Report on latencies, rates, memory and verdicts."""
    request, verdicts, rows = results.request, judge_serving(results), list_speed_rows(results)
    machine = _collect_machine()
    blocks = [
        f"SIMULATED patients. {_describe_model(results)}",
        f"{_describe_rounds(request.rounds)}, contestants in turn; each figure from "
        f"{request.seconds} s of wrk, after every question was asked and its answer compared; as "
        f"many requests in progress as connections. {_describe_cores(results)}",
        format_table(_SPEED_HEADING, _list_speeds(results)),
        _MEMORY_TEXT,
        format_table(_MEMORY_HEADING, _list_memory(results)),
    ]
    if results.steps:
        steps = [[step.name, f"{step.full:.1f}", f"{step.brief:.1f}"] for step in results.steps]
        blocks += [_STEPS_TEXT, format_table(_STEPS_HEADING, steps)]
    blocks += [f"ABSENT: `{name}`: {reason}." for name, reason in results.absent.items()]
    blocks += [format_verdicts(verdicts), _describe_machine(machine)]
    alternative = "Latency and rate of each service, SIMULATED patients"
    figure = Figure(alternative, "benchmark-serving.png", partial(_draw_speeds, rows))
    data = {
        "data": "SIMULATED",
        "request": {"rounds": request.rounds, "seconds": request.seconds},
        "model": results.model,
        "cores": asdict(results.cores),
        "machine": machine,
        "rows": [asdict(row) for row in rows],
        "starts": {
            name: [{"seconds": part.seconds, **asdict(part.memory)} for part in rounds]
            for name, rounds in results.rounds.items()
        },
        "steps": [asdict(step) for step in results.steps],
        "absent": results.absent,
    }
    section = Section("benchmark serving", "benchmarks/serving.md", blocks, figure)
    return Report([section], data, verdicts)


def _describe_rounds(rounds: int) -> str:
    return "One round" if rounds == 1 else f"Median of {rounds} rounds"


def _describe_model(results: ServingResults) -> str:
    model = results.model
    return (
        f"Served is `{model['name']}`, `{model['candidate']}` of {model['courses']:,} courses with "
        f"{model['redevelopments']} bootstrap refits behind each interval; asked about "
        f"{model['assessments']} different patients, a quarter of them with few fields; "
        f"{'with a key' if model['key'] else 'without keys, which the service does not have'}."
    )


def _describe_cores(results: ServingResults) -> str:
    if results.cores.server is None:
        return "Server and client shared all cores: this machine has one, or does not let choose."
    return "The server had one core, the client another."


def _list_speeds(results: ServingResults) -> Iterator[list[str]]:
    for row in list_speed_rows(results):
        yield [
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
        if rounds := results.rounds.get(contestant.name):
            parts = [part.memory.proportional for part in rounds if part.memory.proportional]
            yield [
                contestant.tasks[0].label if len(contestant.tasks) == 1 else "ours, batches",
                f"{median(part.seconds for part in rounds):.1f}",
                f"{median(part.memory.resident for part in rounds):.0f}",
                f"{median(parts):.0f}" if parts else "unknown",
                f"{median(part.memory.peak for part in rounds):.0f}",
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


def _draw_speeds(rows: Sequence[SpeedRow], path: Path) -> None:
    busy = [row for row in rows if row.connections > 1]
    idle = [row for row in rows if row.connections == 1 and not row.task.startswith("batch")]
    title = "SIMULATED patients, one assessment per request, one core for the server"
    with draw_panels(path, (11, 3.2), 2, title) as (_, (left, right)):
        for index, row in enumerate(busy):
            left.plot(row.rate, index, "o", color=_choose_colour(row))
            left.text(row.rate, index, f"   {_show_digits(row.rate)}", va="center")
        _label_axes(left, busy, "requests per second, 16 connections")
        for index, row in enumerate(idle):
            right.plot([row.p50, row.p99], [index] * 2, color=_choose_colour(row), linewidth=2)
            right.plot(row.p50, index, "o", color=_choose_colour(row))
            limits = f"  {_show_digits(row.p50)} to {_show_digits(row.p99)}"
            right.text(row.p99, index, limits, va="center")
        _label_axes(right, idle, "ms to the answer, 1 connection, p50 to p99")


def _label_axes(axes: Any, rows: Sequence[SpeedRow], label: str) -> None:
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


def _choose_colour(row: SpeedRow) -> str:
    return OURS_COLOUR if row.task == "ours" else OTHERS_COLOUR
