"""The report on real trials: tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from experiments.benchmarks.report import (
    Figure,
    Report,
    Section,
    Verdict,
    format_skipped,
    format_table,
    format_verdicts,
)
from experiments.benchmarks.results import Result
from experiments.benchmarks.trials.figure import draw_forest
from features.model.card import Measure
from training.findings.format import format_measure

_GAPS = ["log loss against base rate", "Brier against base rate"]
_MEASURES = {"log_loss": "log loss", "brier": "Brier", "auc": "AUC", "slope": "slope"}
_CHOICES = ["trial", "held out", "chosen", "served"]
_INSIDE = ["chosen inside the folds", _GAPS[1], "served there", _GAPS[1]]
# By which the Brier score may exceed that of prevalence alone.
_MAX_EXCESS = 0.003
# What early scores must reach.
_MIN_AUC = {
    "dia_antidepressant_after_week2": 0.75,
    "enrichd_cbt_after_acute": 0.69,
    "beat_the_blues_after_week12": 0.75,
}


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
    measures = [_format_scored(scores[name]) for name in _MEASURES]
    return [*measures, _format_gap(scores["log_loss_gap"]), _format_gap(scores["brier_gap"])]


def _list_choices(result: Result) -> list[str]:
    names = (f"`{result[part]}`" for part in ("chosen", "served"))
    cells = [f"`{result['name']}`", f"{result['hold_out']}s", *names]
    for scores in result["nested"].values():
        selected = ", ".join(f"`{name}` {count}" for name, count in scores["picked"].items())
        cells += [selected, _format_gap(scores["brier_gap"])]
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


def judge_trials(results: Sequence[Result]) -> list[Verdict]:
    """Judge every target that these results are about."""
    patients = [result for result in results if result["hold_out"] == "patient"]
    return [*_judge_excess(results), *_judge_updates(patients)]


def _judge_excess(results: Sequence[Result]) -> Iterator[Verdict]:
    """Judge whether what `fit` chooses does harm: chosen on all courses, and inside each fold."""
    for result in results:
        choices = {
            f"chosen (`{result['chosen']}`)": result["candidates"][result["chosen"]],
            "chosen inside the folds": result["nested"]["chosen"],
            "served inside the folds": result["nested"]["served"],
        }
        for choice, scores in choices.items():
            gap = scores["brier_gap"]
            trial = f"{result['name']}, {result['hold_out']}s held out"
            aim = f"{trial}: Brier at most {_MAX_EXCESS} above prevalence alone, {choice}"
            yield Verdict(aim, gap["mean"] <= _MAX_EXCESS, _format_gap(gap))


def _judge_updates(results: Sequence[Result]) -> Iterator[Verdict]:
    for result in results:
        if result["name"] not in _MIN_AUC:
            continue
        least, chosen = _MIN_AUC[result["name"]], result["candidates"][result["chosen"]]
        trial = f"{result['name']}, `{result['chosen']}`"
        auc = chosen["auc"]["value"]
        met = auc is not None and auc >= least
        yield Verdict(f"{trial}: AUC at least {least}", met, _format_scored(chosen["auc"]))
        low, high = chosen["slope"]["low"], chosen["slope"]["high"]
        met = low is not None and low <= 1 <= high
        yield Verdict(f"{trial}: slope's interval holds 1", met, _format_scored(chosen["slope"], 2))


def _format_gap(gap: Mapping[str, float]) -> str:
    """Format a difference with its standard error.

    Examples
    --------
    >>> _format_gap({"mean": -0.0123, "error": 0.004})
    '-0.0123 (standard error 0.0040)'
    """
    return f"{gap['mean']:+.4f} (standard error {gap['error']:.4f})"


def _format_scored(measure: Mapping[str, Any], digits: int = 3) -> str:
    """Format a measure of the results with its interval."""
    return format_measure(Measure(**measure), digits)
