"""The report of a study in Markdown: verdict first, then the figures behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

from features.model.card import SIMULATED_NOTE, Measure, Population
from training.candidates.registry import BASE_RATE, label_candidate
from training.findings.comparison import Comparison
from training.findings.findings import (
    Attrition,
    BaselineGap,
    Compared,
    Findings,
    Performance,
    Scenario,
)
from training.findings.format import format_measure, format_percent, format_table
from training.findings.gate import format_gate
from training.findings.words import (
    VALIDATION_TYPES,
    label_measure,
    list_measures,
)
from training.measures.performance import COMPARED


def write_report(findings: Findings) -> str:
    """Write the findings of a study in Markdown; the HTML file is the full report."""
    card = findings.card
    lines = [
        f"# {card.outcome.id}: {card.study}",
        "",
        *([f"**{SIMULATED_NOTE}**", ""] if findings.simulated else []),
        *(f"**{alarm}**\n" for alarm in findings.alarms),
        f"**{findings.verdict}**",
        "",
        f"Question: {card.question}",
        f"Outcome: {card.outcome.definition}.",
        "",
        write_population(card.population),
        "",
        f"## Candidates ({card.validation})",
        "",
        *_write_candidates(findings),
        "",
        *_write_performance(findings),
        *_write_attrition(findings),
        "## Gate",
        "",
        format_gate(findings.gate),
        "",
        f"An estimate is {card.note}.",
        "",
    ]
    return "\n".join(lines)


def write_population(population: Population) -> str:
    """Describe how many courses the model was trained on, and their base rate."""
    rate = format_percent(population.base_rate, 1)
    if not population.courses:
        source = "an assumption" if population.published_rate is None else "published"
        return (
            f"{population.without_outcome} courses, none with a known outcome yet. The base rate "
            f"of {rate} is {source}; ranges and means are those of patients before treatment."
        )
    weighted = "" if population.weighted_rate is None else ", weighted"
    return (
        f"{population.courses} courses of {population.patients} patients with a known outcome, "
        f"{population.events} of them events: base rate {rate}{weighted}. "
        f"{population.without_outcome} courses with a missing outcome were excluded; if their "
        "event rate differs, the base rate is biased."
    )


def tabulate_measures(performance: Sequence[Performance]) -> str:
    """Tabulate measures, with their intervals, by type of validation."""
    labels = {key: label_measure(key) for key in list_measures(performance)}
    heading = ["Measure", *(VALIDATION_TYPES[validation.way] for validation in performance)]
    rows = [
        [label.name, *(format_measure(p.measures.get(key), label.digits) for p in performance)]
        for key, label in labels.items()
    ]
    return format_table([heading, *rows])


def format_validation(performance: Performance) -> str:
    """Describe one type of validation, or why it was not done."""
    label = VALIDATION_TYPES[performance.way]
    if not performance.measures:
        return f"{label}: not done ({performance.because})"
    counts = f"{performance.events} events in {performance.courses} courses"
    return f"{label}: {performance.method}; {counts}"


def list_items(items: Sequence[str]) -> str:
    """Write a list in Markdown."""
    return "\n".join(f"- {item}" for item in items)


def summarise_candidates(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Return every candidate's measures for JSON, with their intervals."""
    return {name: plain_measures(measures) for name, measures in comparison.measures.items()}


def plain_measures(measures: Mapping[str, Measure]) -> dict[str, Any]:
    """Return measures as numbers, for JSON."""
    values: dict[str, Any] = {key: measure.value for key, measure in measures.items()}
    values["intervals"] = {key: [measure.low, measure.high] for key, measure in measures.items()}
    return values


def _write_candidates(findings: Findings) -> list[str]:
    if not findings.candidates:
        return [
            "Not compared: performance can be measured once outcomes are known. Chosen by order of "
            f"preference alone: {label_candidate(findings.card.candidate)}."
        ]
    labels = [label_measure(key).name for key in COMPARED]
    head = ["Candidate", *labels, "Log loss minus base rate's"]
    # The base rate first: all others are compared with it.
    ordered = sorted(findings.candidates, key=lambda candidate: candidate.name != BASE_RATE)
    return [
        format_table([head, *(_list_candidate_cells(candidate) for candidate in ordered)]),
        "",
        f"Intervals: {format_percent(findings.level)}, over resampled patients. Calibration is "
        "perfect if the intercept is 0 and the slope 1. AUC compares patients within a fold. "
        "± gives the standard error. → marks the choice: the first in the study's order of "
        "preference within one standard error of the lowest log loss.",
    ]


def _list_candidate_cells(candidate: Compared) -> list[str]:
    cells = [
        format_measure(candidate.measures.get(key), label_measure(key).digits) for key in COMPARED
    ]
    gap = f"{candidate.difference:+.4f} ± {candidate.error:.4f}"
    mark = "→ " if candidate.chosen else ""
    return [mark + candidate.name, *cells, "-" if candidate.name == BASE_RATE else gap]


def _write_performance(findings: Findings) -> list[str]:
    done = [performance for performance in findings.performance if performance.measures]
    if not done:
        return []
    return [
        "## Performance of the chosen candidate",
        "",
        tabulate_measures(done),
        "",
        list_items([format_validation(performance) for performance in findings.performance]),
        "",
    ]


def _write_attrition(findings: Findings) -> list[str]:
    attrition = findings.attrition
    # Without a known outcome nothing was compared, and all outcomes are missing.
    if attrition is None or not attrition.missing or not findings.candidates:
        return []
    share = format_percent(attrition.missing / attrition.courses)
    return [
        "## Missing outcomes",
        "",
        f"The outcome is missing in {attrition.missing} of {attrition.courses} courses ({share}); "
        f"{attrition.unmeasured} further courses have no baseline total to judge it by.",
        "",
        f"{_describe_weights(attrition)} Assumption: {attrition.assumption}.",
        "",
        *_write_gaps(attrition.gaps),
        *_write_scenarios(attrition.scenarios),
    ]


def _describe_weights(attrition: Attrition) -> str:
    if attrition.effective is None or attrition.largest is None:
        return "Courses with a known outcome are equally weighted: the base rate is theirs."
    return (
        "Courses with a known outcome are weighted to represent all: "
        f"{attrition.courses - attrition.missing} of them are as informative as "
        f"{attrition.effective:.0f} equally weighted ones; the largest weight is "
        f"{attrition.largest:.1f}."
    )


def _write_gaps(gaps: Sequence[BaselineGap]) -> list[str]:
    if not gaps:
        return []
    named = "; ".join(f"{gap.label} (`{gap.feature}`) {gap.difference:+.2f}" for gap in gaps)
    return [
        "Largest differences at baseline, missing minus known outcomes, in standard deviations: "
        f"{named}.",
        "",
    ]


def _write_scenarios(scenarios: Sequence[Scenario]) -> list[str]:
    if not scenarios:
        return []
    head = ["Odds ratio", "Event rate if missing", "Base rate", "Mean estimate"]
    head += [label_measure(key).name for key in ("intercept", "slope")]
    return [
        format_table([head, *(_format_scenario(scenario) for scenario in scenarios)]),
        "",
        "The odds ratio compares the odds of the event if the outcome is missing with those at the "
        "same baseline if it is known. Each row shows what would follow: the event rate among "
        "missing outcomes and among all courses, the chosen candidate's mean estimate, and its "
        "calibration among all courses. No data can show which row is true. Sampling error is not "
        "included.",
        "",
    ]


def _format_scenario(scenario: Scenario) -> list[str]:
    rates = (scenario.missing_rate, scenario.base_rate, scenario.predicted)
    return [
        f"{scenario.odds_ratio:.2f}",
        *(format_percent(rate, 1) for rate in rates),
        f"{round(scenario.intercept, 2) + 0:+.2f}",  # plus 0: never -0.00
        "-" if scenario.slope is None else f"{scenario.slope:.2f}",
    ]
