"""The page on serving: tables of what was measured, and what they rest on."""

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from experiments.benchmarks.models.page import DOCS, fill_page
from experiments.benchmarks.serving.figure import write_figure
from experiments.benchmarks.serving.serving import Results
from experiments.benchmarks.serving.verdicts import judge, list_rows
from experiments.docs.reference import format_table

PAGE = DOCS / "benchmarks" / "serving.md"
FIGURE = DOCS / "images" / "benchmark-serving.png"
BEGIN = "<!-- Written by `python -m experiments benchmark serving --docs`: begin -->"
PACKAGES = (
    *("bentoml", "mlflow", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson"),
    *("numpy", "scikit-learn", "pandas", "pydantic"),
)
CPU_FACTS = Path("/proc/cpuinfo")
SPEED_HEADING = [
    "service", "connections", "p50, ms", "p99, ms", "slowest, ms", "requests/s", "patients/s",
    "processor, ms a request",
]  # fmt: skip
STEPS_HEADING = ["step", "in full, µs a patient", "in brief, µs a patient"]
STEPS_TEXT = (
    "Where the time of a batch of 1,000 goes, its steps timed apart in one process on the server's "
    "core; beside them there are the audit's row, counting, and HTTP."
)
MEMORY_HEADING = ["service", "ready after, s", "resident, MiB", "proportional, MiB", "peak, MiB"]


def describe(results: Results) -> str:
    """Describe what was measured as tables."""
    asked = results.request
    parts = [
        f"SIMULATED patients. {describe_model(results)}",
        "",
        f"{describe_rounds(asked.rounds)}, contestants in turn; each figure from "
        f"{asked.seconds:g} s after {asked.warm_up:g} s of warm-up, as many requests under way as "
        f"connections. {describe_cores(results)}",
        "",
        format_table(SPEED_HEADING, list(list_speeds(results))),
        "",
        "Resident memory after the load, summed over a service's processes; proportional memory "
        "divides what they share; the peak is the sum of each process's own.",
        "",
        format_table(MEMORY_HEADING, list(list_memory(results))),
    ]
    if results.steps:
        rows = [[one.name, f"{one.full:.1f}", f"{one.brief:.1f}"] for one in results.steps]
        parts += ["", STEPS_TEXT, "", format_table(STEPS_HEADING, rows)]
    if results.absent:
        parts += ["", *(f"ABSENT: `{name}`: {why}." for name, why in results.absent.items())]
    goals = [[one.aim, one.found, one.word] for one in judge(results)]
    parts += ["", format_table(["goal", "found", "verdict"], goals), "", describe_machine()]
    return "\n".join(parts)


def describe_rounds(rounds: int) -> str:
    """Say how many rounds there were.

    Examples
    --------
    >>> describe_rounds(1), describe_rounds(3)
    ('One round', 'Median of 3 rounds')
    """
    return "One round" if rounds == 1 else f"Median of {rounds} rounds"


def describe_model(results: Results) -> str:
    """Describe what was served, and to whom."""
    model = results.model
    return (
        f"Served is `{model['name']}`, `{model['candidate']}` of {model['courses']:,} courses with "
        f"{model['redevelopments']} re-developments behind each interval; asked about "
        f"{model['assessments']} different patients, a quarter of them with few fields; "
        f"{'with a key' if model['key'] else 'without keys, which the service does not have'}."
    )


def describe_cores(results: Results) -> str:
    """Say who ran where."""
    if results.cores.server is None:
        return "Server and client shared all cores: this machine has one, or does not let choose."
    return "The server had one core, the client another."


def list_speeds(results: Results) -> Iterator[list[str]]:
    """List latencies and rates."""
    for row in list_rows(results):
        yield [
            row.label,
            str(row.connections),
            *(f"{value:.2f}" for value in (row.p50, row.p99)),
            f"{row.slowest:.0f}",
            f"{row.rate:,.0f}" if row.rate >= 10 else f"{row.rate:.1f}",
            f"{row.patients_rate:,.0f}",
            f"{row.cpu:.2f}",
        ]


def list_memory(results: Results) -> Iterator[list[str]]:
    """List how soon services are ready, and what they hold."""
    for contestant in results.request.contestants:
        if rounds := results.rounds.get(contestant.name):
            parts = [one.memory.proportional for one in rounds if one.memory.proportional]
            yield [
                contestant.tasks[0].label if len(contestant.tasks) == 1 else "ours, batches",
                f"{median(one.seconds for one in rounds):.1f}",
                f"{median(one.memory.resident for one in rounds):.0f}",
                f"{median(parts):.0f}" if parts else "not told",
                f"{median(one.memory.peak for one in rounds):.0f}",
            ]


def describe_machine() -> str:
    """Describe the machine and what was installed."""
    facts = describe_facts()
    versions = ", ".join(f"{name} {found}" for name, found in facts["versions"].items())
    return (
        f"Measured on {facts['cores']} cores ({facts['processor']}), {facts['system']}, "
        f"Python {facts['python']}; {versions}."
    )


def describe_facts() -> dict[str, Any]:
    """Collect the facts about the machine."""
    return {
        "cores": os.cpu_count(),
        "processor": read_processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": dict(list_versions()),
    }


def read_processor() -> str:
    """Read the processor's name."""
    if CPU_FACTS.is_file():
        for line in CPU_FACTS.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unnamed processor"


def list_versions() -> Iterator[tuple[str, str]]:
    """List versions of what is installed of the packages that serve."""
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def collect(results: Results) -> dict[str, Any]:
    """Collect everything for JSON."""
    asked = results.request
    return {
        "data": "SIMULATED",
        "request": {"rounds": asked.rounds, "seconds": asked.seconds, "warm_up": asked.warm_up},
        "model": results.model,
        "cores": asdict(results.cores),
        "machine": describe_facts(),
        "rows": [asdict(row) for row in list_rows(results)],
        "starts": {
            name: [{"seconds": one.seconds, **asdict(one.memory)} for one in rounds]
            for name, rounds in results.rounds.items()
        },
        "steps": [asdict(one) for one in results.steps],
        "absent": results.absent,
        "verdicts": [asdict(one) | {"verdict": one.word} for one in judge(results)],
    }


def write_page(text: str, results: Results) -> None:
    """Write the text between the page's marks, and the figure."""
    image = f"![Latency and rate of each service, SIMULATED patients](../images/{FIGURE.name})"
    fill_page(PAGE, BEGIN, f"{image}\n\n{text}")
    write_figure(list_rows(results), FIGURE)
