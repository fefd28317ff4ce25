"""Verdicts on real trials: what was aimed at, and whether it was met; each states its figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.benchmarks.models.verdicts import Verdict
from experiments.benchmarks.results import Result
from features.model.card import Measure
from training.findings.format import format_measure

# How much worse than prevalence alone the Brier score may be.
MOST_EXCESS = 0.003
# What early scores must tell at the least.
LEAST_AUC = {
    "dia_antidepressant_after_week2": 0.75,
    "enrichd_cbt_after_acute": 0.69,
    "beat_the_blues_after_week12": 0.75,
}


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Judge every aim that these results are about."""
    patients = [one for one in results if one["hold_out"] == "patient"]
    return [*judge_excess(results), *judge_updates(patients)]


def judge_excess(results: Sequence[Result]) -> Iterator[Verdict]:
    """Judge whether what `fit` chooses does harm: chosen on all courses, and inside each fold."""
    for one in results:
        ways = {
            f"chosen (`{one['chosen']}`)": one["candidates"][one["chosen"]],
            "chosen inside the folds": one["nested"]["chosen"],
            "served inside the folds": one["nested"]["served"],
        }
        for way, found in ways.items():
            gap = found["brier_gap"]
            named = f"{one['name']}, {one['hold_out']}s held out"
            aim = f"{named}: Brier at most {MOST_EXCESS} above prevalence alone, {way}"
            yield Verdict(aim, gap["mean"] <= MOST_EXCESS, show_gap(gap))


def judge_updates(results: Sequence[Result]) -> Iterator[Verdict]:
    """Judge ranking and calibration of estimates made again."""
    for one in results:
        if one["name"] not in LEAST_AUC:
            continue
        least, chosen = LEAST_AUC[one["name"]], one["candidates"][one["chosen"]]
        named = f"{one['name']}, `{one['chosen']}`"
        auc = chosen["auc"]["value"]
        met = auc is not None and auc >= least
        yield Verdict(f"{named}: AUC at least {least}", met, show_measure(chosen["auc"]))
        low, high = chosen["slope"]["low"], chosen["slope"]["high"]
        met = low is not None and low <= 1 <= high
        yield Verdict(f"{named}: slope's interval holds 1", met, show_measure(chosen["slope"], 2))


def show_gap(gap: Mapping[str, float]) -> str:
    """Show a difference with its standard error.

    Examples
    --------
    >>> show_gap({"mean": -0.0123, "error": 0.004})
    '-0.0123 (standard error 0.0040)'
    """
    return f"{gap['mean']:+.4f} (standard error {gap['error']:.4f})"


def show_measure(found: Mapping[str, Any], digits: int = 3) -> str:
    """Show a measure with its interval."""
    return format_measure(Measure(**found), digits)
