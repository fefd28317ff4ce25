"""The report of a run, in words and tables: verdict first, then the numbers behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

from features.model.card import SIMULATED_NOTE, Measure, Population
from training.candidates import CANDIDATES
from training.findings.comparison import BASE_RATE, Comparison
from training.findings.findings import Attrition, Findings, Gap, Scenario
from training.findings.format import format_measure, format_table
from training.findings.gate import format_gate

HEADINGS = {
    "log_loss": "log loss",
    "brier": "Brier",
    "auc": "AUC",
    "intercept": "intercept",
    "slope": "slope",
}
NOT_MEASURED = Measure(value=None)
PERFORMANCE = {
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "scaled_brier": "scaled Brier",
    "ratio": "observed / expected",
    "intercept": "intercept",
    "slope": "slope",
    "ici": "ICI",
    "e50": "E50",
    "e90": "E90",
}


def list_rows(found: Findings) -> list[list[str]]:
    """List the table's rows, the base rate's first, the chosen one marked."""
    rows = []
    for one in sorted(found.candidates, key=lambda one: one.name != BASE_RATE):
        against = "-" if one.name == BASE_RATE else f"{one.difference:+.4f} ± {one.error:.4f}"
        mark = "→ " if one.chosen else ""
        cells = [format_measure(one.measures[key]) for key in HEADINGS]
        rows.append([mark + one.name, *cells, against])
    return rows


def write_report(found: Findings) -> str:
    """Write the findings of a study in Markdown; the whole report is the HTML file."""
    card = found.card
    lines = [
        f"# {card.outcome.id}: {card.study}",
        "",
        *([f"**{SIMULATED_NOTE}**", ""] if found.simulated else []),
        *(f"**{alarm}**\n" for alarm in found.alarms),
        f"**{found.verdict}**",
        "",
        f"Question: {card.question}",
        f"Outcome: {card.outcome.definition}.",
        "",
        count_courses(card.population),
        "",
        f"## Candidates ({card.validation})",
        "",
        *write_candidates(found),
        "",
        *write_performance(found),
        *(write_attrition(found.attrition) if found.attrition and found.candidates else []),
        "## Gate",
        "",
        format_gate(found.gate),
        "",
        f"An estimate is {card.note}.",
        "",
    ]
    return "\n".join(lines)


def write_performance(found: Findings) -> list[str]:
    """Write the table of the chosen model's performance by each way of testing."""
    done = [one for one in found.performance if one.measures]
    if not done:
        return []
    names = [name for name in PERFORMANCE if any(name in one.measures for one in done)]
    rows = [
        [PERFORMANCE[name], *(format_measure(one.measures.get(name, NOT_MEASURED)) for one in done)]
        for name in names
    ]
    ways = [f"{one.way}: {one.method}" for one in done]
    ways += [f"{one.way}: not done, {one.because}" for one in found.performance if one.because]
    return [
        "## Performance of the chosen candidate",
        "",
        format_table([["measure", *(one.way for one in done)], *rows]),
        "",
        *(f"- {way}" for way in ways),
        "",
    ]


def count_courses(people: Population) -> str:
    """Say how many courses were learned from, and their base rate."""
    rate = f"{100 * people.base_rate:.1f} %"
    if not people.courses:
        source = "a guess" if people.published_rate is None else "a published one"
        return (
            f"{people.without_outcome} courses, and nobody's outcome is known yet. The base rate "
            f"of {rate} is {source}, of 0 courses here; ranges and means are those of "
            "patients before treatment."
        )
    return (
        f"{people.courses} courses of {people.patients} patients with the outcome known, "
        f"{people.events} of them positive: base rate {rate}"
        f"{'' if people.weighted_rate is None else ' by weight'}. "
        f"{people.without_outcome} more courses have no outcome and were left out; if those who "
        "do not report fare differently, the base rate is off by that much."
    )


def write_candidates(found: Findings) -> list[str]:
    """Write the table of candidates and how to read it; where there is none, why."""
    if not found.candidates:
        return [
            "Not compared: whether any of them tells who will respond can be measured once "
            f"outcomes are known. Chosen by the order of preference alone: the "
            f"{label_candidate(found.card.candidate)}."
        ]
    head = ["candidate", *HEADINGS.values(), "log loss against base rate"]
    return [
        format_table([head, *list_rows(found)]),
        "",
        f"Intervals: {100 * found.level:g} % over resampled patients. Intercept 0 and slope 1 are "
        "perfect calibration. AUC compares patients within a fold. → is the choice: the first in "
        "the study's order of preference within one standard error of the lowest log loss.",
    ]


def write_attrition(found: Attrition) -> list[str]:
    """Write the part on missing outcomes; nothing where every course has one."""
    if not found.missing:
        return []
    return [
        "## Outcomes that are missing",
        "",
        f"{found.missing} of {found.courses} courses that could have had the outcome lack it "
        f"({100 * found.missing / found.courses:.0f} %); {found.unmeasured} more have no baseline "
        "total to judge it by.",
        "",
        f"{explain_weights(found)} Estimates assume: {found.assumption}.",
        "",
        *write_gaps(found.gaps),
        *write_scenarios(found.scenarios),
    ]


def explain_weights(found: Attrition) -> str:
    """Say whether courses were weighted, and what that cost."""
    if found.effective is None or found.largest is None:
        return "Those that have it count alike: the base rate is theirs."
    having = found.courses - found.missing
    return (
        f"Those that have it are weighted to stand in for the others: {having} courses tell as "
        f"much as {found.effective:.0f} would with even weights; the largest weight is "
        f"{found.largest:.1f}."
    )


def write_gaps(gaps: Sequence[Gap]) -> list[str]:
    """Write the largest differences at baseline; nothing where too few could be compared."""
    if not gaps:
        return []
    named = "; ".join(f"{gap.label} (`{gap.feature}`) {gap.difference:+.2f}" for gap in gaps)
    return [
        "Largest differences at baseline, those without the outcome less those with it, in "
        f"standard deviations: {named}.",
        "",
    ]


def write_scenarios(scenarios: Sequence[Scenario]) -> list[str]:
    """Write the sensitivity table; nothing where the study asks for no odds ratio."""
    if not scenarios:
        return []
    head = ["odds ratio", "those who lack it", "base rate", "predicted", "intercept", "slope"]
    return [
        format_table([head, *(format_scenario(scenario) for scenario in scenarios)]),
        "",
        "What follows, if the odds of response of those who lack the outcome are so many times "
        "those of patients with the same baseline who have it: their share, that of all, what the "
        "chosen candidate says of all on average, and its calibration among all. No data can tell "
        "which row is true. Sampling error comes on top.",
        "",
    ]


def format_scenario(scenario: Scenario) -> list[str]:
    """Format one row of the sensitivity table."""
    shares = (scenario.missing_rate, scenario.base_rate, scenario.predicted)
    slope = "-" if scenario.slope is None else f"{scenario.slope:.2f}"
    return [
        f"{scenario.odds_ratio:.2f}",
        *(f"{100 * share:.1f} %" for share in shares),
        f"{round(scenario.intercept, 2) + 0:+.2f}",  # plus 0: never -0.00
        slope,
    ]


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
