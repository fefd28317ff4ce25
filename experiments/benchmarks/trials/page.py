"""The page of the benchmark of real trials: tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.benchmarks.models.page import DOCS, fill_page
from experiments.benchmarks.results import Result
from experiments.benchmarks.trials.figure import write_figure
from experiments.benchmarks.trials.verdicts import judge, show_gap, show_measure
from experiments.docs.reference import format_table

PAGE, FIGURE = DOCS / "benchmarks" / "trials.md", DOCS / "images" / "benchmark-trials.png"
BEGIN = "<!-- Written by `python -m experiments benchmark trials --docs`: begin -->"
GAPS = ["log loss against base rate", "Brier against base rate"]
MEASURES = {"log_loss": "log loss", "brier": "Brier", "auc": "AUC", "slope": "slope"}
CHOICES = ["trial", "held out", "chosen", "served"]
INSIDE = ["chosen inside the folds", GAPS[1], "served there", GAPS[1]]


def describe(results: Sequence[Result], skipped: Mapping[str, str]) -> str:
    """Describe the results as Markdown."""
    verdicts = [[one.aim, one.word, one.found] for one in judge(results)]
    parts = [
        *(f"**NOT COMPARED**: `{name}` ({why})" for name, why in skipped.items()),
        "### Verdicts",
        format_table(["aim", "verdict", "found"], verdicts),
        "### What `fit` chooses",
        format_table([*CHOICES, *INSIDE], [describe_choice(one) for one in results]),
        "### Before the first outcome",
        format_table(
            ["trial", "published base rate", "observed", "AUC", *GAPS],
            list(list_published(results)),
        ),
    ]
    for one in results:
        parts += [describe_heading(one), format_table(["candidate", *MEASURES.values(), *GAPS],
                                                      list(list_candidates(one)))]  # fmt: skip
    return "\n\n".join(parts)


def describe_heading(one: Result) -> str:
    """Describe whose table it is."""
    return (
        f"### {one['name']}, {one['hold_out']}s held out\n\n`{one['outcome']}`: {one['courses']} "
        f"courses, {one['events']} with the outcome; {one['folds']} folds of {one['units']} "
        f"{one['hold_out']}s, {one['repeats']} times."
    )


def list_candidates(one: Result) -> Iterator[list[str]]:
    """List a table's rows, the chosen one marked, and the choice made inside the folds."""
    for name, found in one["candidates"].items():
        mark = "→ " if name == one["chosen"] else ""
        yield [f"{mark}`{name}`", *describe_measures(found)]
    for part, found in one["nested"].items():
        yield [f"{part} inside the folds", *describe_measures(found)]


def describe_measures(found: Mapping[str, Any]) -> list[str]:
    """Describe measures and differences as a row's cells."""
    measures = [show_measure(found[name]) for name in MEASURES]
    return [*measures, show_gap(found["log_loss_gap"]), show_gap(found["brier_gap"])]


def describe_choice(one: Result) -> list[str]:
    """Describe what `fit` chooses on one trial, on all courses and inside the folds."""
    cells = [f"`{one['name']}`", f"{one['hold_out']}s", f"`{one['chosen']}`", f"`{one['served']}`"]
    for found in one["nested"].values():
        picked = ", ".join(f"`{name}` {count}" for name, count in found["picked"].items())
        cells += [picked, show_gap(found["brier_gap"])]
    return cells


def list_published(results: Sequence[Result]) -> Iterator[list[str]]:
    """List how the evidence does against the published base rate, no outcome seen by either."""
    for one in results:
        found = one["published"]
        if found is not None and one["hold_out"] == "patient":
            shares = (found["base_rate"], one["events"] / one["courses"])
            *_, auc, _, losses, errors = describe_measures(found)
            cells = [f"{100 * share:.1f} %" for share in shares]
            yield [f"`{one['name']}`", *cells, auc, losses, errors]


def collect(results: Sequence[Result], skipped: Mapping[str, str]) -> dict[str, Any]:
    """Collect the results for JSON."""
    return {
        "data": "real",
        "skipped": dict(skipped),
        "trials": list(results),
        "verdicts": [asdict(one) | {"verdict": one.word} for one in judge(results)],
    }


def write_page(text: str, results: Sequence[Result]) -> None:
    """Write the text between the page's marks, and the figure.

    Raises
    ------
    KetamineResponseError
        If the page has no marks.
    """
    image = f"![Differences to the base rate by trial and candidate](../images/{Path(FIGURE).name})"
    fill_page(PAGE, BEGIN, f"{image}\n\n{text}")
    write_figure(results, FIGURE)
