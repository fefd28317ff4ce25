"""Tables of performance: ways of testing, candidates, and the gate's criteria."""

from collections.abc import Iterator
from typing import get_args

from markupsafe import Markup

from training.findings.findings import Criterion, Findings, Performance, ValidationType
from training.findings.words import MEASURES, WAYS, get_digits, name_key, name_measure
from training.report.html.numbers import NOTHING, show_measure, show_number, show_plain, show_share
from training.report.html.table import Cell, Table, make_table

COMPARED = ("log_loss", "brier", "auc", "intercept", "slope")
# Criteria that ask for a number of something.
COUNTS = ("courses", "events", "redevelopments")
NO_REASON = "the findings hold nothing of it"


def tabulate_performance(findings: Findings) -> Table | None:
    """List every measure by every way of testing that was used."""
    done = [one for one in findings.performance if one.measures]
    keys = [key for key in MEASURES if any(key in one.measures for one in done)]
    if not keys:
        return None
    head: list[Cell] = ["Measure"]
    for one in done:
        head += [WAYS[one.way], *(["of which optimism"] if one.optimism else [])]
    rows = (
        [
            Markup("{}<br><small>{}</small>").format(*MEASURES[key][:2]),
            *(cell for one in done for cell in list_cells(one, key)),
        ]
        for key in keys
    )
    return make_table("Performance by way of testing, with intervals", head, rows)


def list_cells(performance: Performance, key: str) -> Iterator[Cell]:
    """List a measure's cells in one way of testing."""
    digits = get_digits(key)
    yield show_measure(performance.measures.get(key), digits)
    if performance.optimism and key == "slope" and performance.shrinkage is not None:
        yield Markup("\u00d7 {}").format(show_number(performance.shrinkage, digits))
    elif performance.optimism:
        yield show_number(performance.optimism.get(key), digits, signed=True)


def list_undone(findings: Findings) -> list[tuple[str, str]]:
    """List the ways of testing that were not used, and why; elsewhere there is but one."""
    reasons: dict[ValidationType, str] = {one.way: one.because for one in findings.performance}
    return [
        (WAYS[way], reasons.get(way) or NO_REASON)
        for way in (("external",) if findings.purpose == "external" else get_args(ValidationType))
        if findings.find_performance(way) is None
    ]


def tabulate_candidates(findings: Findings) -> Table | None:
    """List every candidate against the base rate."""
    if not findings.candidates:
        return None
    rows = (
        [
            Markup("<strong>{}</strong> (chosen)").format(one.label) if one.chosen else one.label,
            *(show_measure(one.measures.get(key), get_digits(key)) for key in COMPARED),
            Markup("{} ± {}").format(
                show_number(one.difference, 4, True), show_number(one.error, 4)
            ),
            show_share(one.picked),
        ]
        for one in findings.candidates
    )
    head = ["Candidate", *map(name_measure, COMPARED), "Log loss less the base rate's"]
    caption = "Candidates, on courses that they had not learned from"
    return make_table(caption, [*head, "Chosen when re-developed"], rows)


def tabulate_gate(findings: Findings) -> Table | None:
    """List the gate's criteria: asked, found, passed or not, and why."""
    if not findings.gate:
        return None
    rows = (
        [
            Markup("{}<br><small>{}</small>").format(name_key(one.name), one.question),
            show_bounds(one),
            show_number(one.value, 0 if one.name in COUNTS else 3),
            show_result(one),
            one.because or NOTHING,
        ]
        for one in findings.gate
    )
    head = ["Criterion", "Asked", "Found", "Result", "Why"]
    return make_table("What the gate asks before clinicians see a model", head, rows, wordy=True)


def show_bounds(criterion: Criterion) -> Cell:
    """Say between which bounds the value must be."""
    low, high = show_plain(criterion.low), show_plain(criterion.high)
    if criterion.low is None and criterion.high is None:
        return NOTHING
    if criterion.high is None:
        return Markup("at least {}").format(low)
    if criterion.low is None:
        return Markup("at most {}").format(high)
    return Markup("{} to {}").format(low, high)


def show_result(criterion: Criterion) -> Markup:
    """Say whether a criterion was passed, in a sign and a word."""
    kind, text = {
        True: ("passed", "✓ passed"),
        False: ("failed", "✗ failed"),
        None: ("idle", f"{NOTHING} does not apply"),
    }[criterion.passed]
    return Markup('<span class="{}">{}</span>').format(kind, text)
