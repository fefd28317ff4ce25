"""The report on real trials: tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from experiments.benchmarks.report import (
    Figure,
    Report,
    Section,
    format_skipped,
    format_table,
    format_verdicts,
)
from experiments.benchmarks.results import Result
from experiments.benchmarks.trials.figure import draw_forest
from experiments.benchmarks.trials.verdicts import format_gap, format_scored, judge_trials

_GAPS = ["log loss against base rate", "Brier against base rate"]
_MEASURES = {"log_loss": "log loss", "brier": "Brier", "auc": "AUC", "slope": "slope"}
_CHOICES = ["trial", "held out", "chosen", "served"]
_INSIDE = ["chosen inside the folds", _GAPS[1], "served there", _GAPS[1]]


def report_trials(results: Sequence[Result], skipped: Mapping[str, str]) -> Report:
    """Report on the comparison of candidates on real trials."""
    verdicts = judge_trials(results)
    blocks = [
        *format_skipped({f"`{name}`": reason for name, reason in skipped.items()}),
        "### Verdicts",
        format_verdicts(verdicts),
        "### What `fit` chooses",
        format_table([*_CHOICES, *_INSIDE], [_list_choices(result) for result in results]),
        "### Before the first outcome",
        format_table(
            ["trial", "published base rate", "observed", "AUC", *_GAPS], _list_published(results)
        ),
    ]
    for result in results:
        heading = ["candidate", *_MEASURES.values(), *_GAPS]
        blocks += [_format_heading(result), format_table(heading, _list_candidates(result))]
    alternative = "Differences to the base rate by trial and candidate"
    figure = Figure(alternative, "benchmark-trials.png", partial(draw_forest, results))
    section = Section("benchmark trials", "benchmarks/trials.md", blocks, figure)
    data = {"data": "real", "skipped": dict(skipped), "trials": list(results)}
    return Report([section], data, verdicts)


def _format_heading(result: Result) -> str:
    return (
        f"### {result['name']}, {result['hold_out']}s held out\n\n`{result['outcome']}`: "
        f"{result['courses']} courses, {result['events']} of them events; {result['folds']} folds "
        f"of {result['units']} {result['hold_out']}s, {result['repeats']} times."
    )


def _list_candidates(result: Result) -> Iterator[list[str]]:
    for name, scores in result["candidates"].items():
        mark = "→ " if name == result["chosen"] else ""
        yield [f"{mark}`{name}`", *_list_scores(scores)]
    for part, scores in result["nested"].items():
        yield [f"{part} inside the folds", *_list_scores(scores)]


def _list_scores(scores: Mapping[str, Any]) -> list[str]:
    measures = [format_scored(scores[name]) for name in _MEASURES]
    return [*measures, format_gap(scores["log_loss_gap"]), format_gap(scores["brier_gap"])]


def _list_choices(result: Result) -> list[str]:
    names = (f"`{result[part]}`" for part in ("chosen", "served"))
    cells = [f"`{result['name']}`", f"{result['hold_out']}s", *names]
    for scores in result["nested"].values():
        selected = ", ".join(f"`{name}` {count}" for name, count in scores["picked"].items())
        cells += [selected, format_gap(scores["brier_gap"])]
    return cells


def _list_published(results: Sequence[Result]) -> Iterator[list[str]]:
    # The evidence against the published base rate, neither fitted on the trial's outcomes.
    for result in results:
        scores = result["published"]
        if scores is not None and result["hold_out"] == "patient":
            shares = (scores["base_rate"], result["events"] / result["courses"])
            *_, auc, _, losses, errors = _list_scores(scores)
            cells = [f"{100 * share:.1f}%" for share in shares]
            yield [f"`{result['name']}`", *cells, auc, losses, errors]
