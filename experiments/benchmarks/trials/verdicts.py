"""Verdicts on real trials; each states its figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.benchmarks.report import Verdict
from experiments.benchmarks.results import Result
from features.model.card import Measure
from training.findings.format import format_measure

# By which the Brier score may exceed that of prevalence alone.
_MAX_EXCESS = 0.003
# What early scores must reach.
_MIN_AUC = {
    "dia_antidepressant_after_week2": 0.75,
    "enrichd_cbt_after_acute": 0.69,
    "beat_the_blues_after_week12": 0.75,
}


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
            yield Verdict(aim, gap["mean"] <= _MAX_EXCESS, format_gap(gap))


def _judge_updates(results: Sequence[Result]) -> Iterator[Verdict]:
    for result in results:
        if result["name"] not in _MIN_AUC:
            continue
        least, chosen = _MIN_AUC[result["name"]], result["candidates"][result["chosen"]]
        trial = f"{result['name']}, `{result['chosen']}`"
        auc = chosen["auc"]["value"]
        met = auc is not None and auc >= least
        yield Verdict(f"{trial}: AUC at least {least}", met, format_scored(chosen["auc"]))
        low, high = chosen["slope"]["low"], chosen["slope"]["high"]
        met = low is not None and low <= 1 <= high
        yield Verdict(f"{trial}: slope's interval holds 1", met, format_scored(chosen["slope"], 2))


def format_gap(gap: Mapping[str, float]) -> str:
    """Format a difference with its standard error.

    Examples
    --------
    >>> format_gap({"mean": -0.0123, "error": 0.004})
    '-0.0123 (standard error 0.0040)'
    """
    return f"{gap['mean']:+.4f} (standard error {gap['error']:.4f})"


def format_scored(measure: Mapping[str, Any], digits: int = 3) -> str:
    """Format a measure of the results with its interval."""
    return format_measure(Measure(**measure), digits)
