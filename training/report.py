"""The report of a run, in words and tables: verdict first, then the numbers behind it."""

from collections.abc import Mapping
from typing import Any

from features.contract import SIMULATED_NOTE, Measure, ModelCard
from features.outcome import parse_outcome
from training.candidates import CANDIDATES
from training.comparison import BASE_RATE, Comparison, find_warnings

HEADINGS = {
    "log_loss": "log loss",
    "brier": "Brier",
    "auc": "AUC",
    "intercept": "intercept",
    "slope": "slope",
}


def format_measure(found: Measure, digits: int = 3) -> str:
    """Format a measure with its interval.

    Examples
    --------
    >>> format_measure(Measure(value=0.6512, low=0.6, high=0.7))
    '0.651 (0.600 to 0.700)'
    >>> format_measure(Measure(value=None))
    '-'
    """
    if found.value is None:
        return "-"
    value, low, high = (f"{x:.{digits}f}" for x in (found.value, found.low or 0, found.high or 0))
    return f"{value} ({low} to {high})"


def list_rows(comparison: Comparison) -> list[list[str]]:
    """List the table's rows, the base rate's first, the chosen one marked."""
    names = sorted(comparison.measures, key=lambda name: name != BASE_RATE)
    rows = []
    for name in names:
        gap = comparison.to_base[name]
        against = "-" if name == BASE_RATE else f"{gap.mean:+.4f} ± {gap.error:.4f}"
        mark = "→ " if name == comparison.chosen else ""
        found = [format_measure(comparison.measures[name][key]) for key in HEADINGS]
        rows.append([mark + name, *found, against])
    return rows


def format_table(comparison: Comparison) -> str:
    """Format the comparison as a Markdown table that also reads well as text."""
    head = ["candidate", *HEADINGS.values(), "log loss against base rate"]
    rows = [head, *list_rows(comparison)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_report(card: ModelCard, comparison: Comparison, level: float) -> str:
    """Write the whole report in Markdown."""
    people = card.population
    # The alarm knows what baseline alone can reach; an early score may say far more.
    updated = parse_outcome(card.outcome.id).checkpoint is not None
    alarms = [] if updated else find_warnings(comparison, card.simulated)
    lines = [
        f"# {card.outcome.id}: {card.study}",
        "",
        *([f"**{SIMULATED_NOTE}**", ""] if card.simulated else []),
        *(f"**{alarm}**\n" for alarm in alarms),
        f"**{comparison.verdict}**",
        "",
        f"Question: {card.question}",
        f"Outcome: {card.outcome.definition}.",
        "",
        f"{people.courses} courses of {people.patients} patients with the outcome known, "
        f"{people.events} of them positive: base rate {100 * people.base_rate:.1f} %. "
        f"{people.without_outcome} more courses have no outcome and were left out; if those who "
        "do not report fare differently, the base rate is off by that much.",
        "",
        f"## Candidates ({card.validation})",
        "",
        format_table(comparison),
        "",
        f"Intervals: {100 * level:g} % over resampled patients. Intercept 0 and slope 1 are "
        "perfect calibration. AUC compares patients within a fold. → is the choice: the first in "
        "the study's order of preference within one standard error of the lowest log loss.",
        "",
        f"An estimate is {card.note}.",
        "",
    ]
    return "\n".join(lines)


def summarise_candidates(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Return every candidate's measures for JSON, with their intervals beside."""
    return {name: plain_measures(found) for name, found in comparison.measures.items()}


def plain_measures(found: Mapping[str, Measure]) -> dict[str, Any]:
    """Return measures as numbers."""
    values: dict[str, Any] = {key: measured.value for key, measured in found.items()}
    values["intervals"] = {key: [measured.low, measured.high] for key, measured in found.items()}
    return values


def label_candidate(name: str) -> str:
    """Name a candidate for people."""
    return CANDIDATES[name].label
