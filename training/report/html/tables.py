"""The report's tables outside its figures; None if a table would be empty."""

from collections.abc import Iterator, Mapping
from typing import get_args

from markupsafe import Markup

from features.model.card import ModelCard, StudiedRange
from training.candidates.registry import BASE_RATE
from training.findings.findings import (
    Attrition,
    Compared,
    Criterion,
    Findings,
    Performance,
    SampleSizeFacts,
    ValidationType,
)
from training.findings.words import (
    SAMPLE_SIZES,
    VALIDATION_TYPES,
    label_measure,
    list_measures,
    name_field,
    name_key,
)
from training.measures.performance import COMPARED
from training.report.html.layout import Cell, HtmlTable, make_html_table
from training.report.html.numbers import (
    NOTHING,
    show_count,
    show_measure,
    show_number,
    show_percent,
    show_plain,
)

_NO_REASON = "the findings contain nothing about it"
_EXTERNAL_ELSEWHERE = "external validation has a report of its own"


def make_tables(findings: Findings) -> dict[str, HtmlTable | None]:
    """Make every table outside the figures, by the name that the templates use."""
    card, size, attrition = findings.card, findings.sample_size, findings.attrition
    return {
        "gate": _tabulate_gate(findings),
        "performance": _tabulate_performance(findings),
        "candidates": _tabulate_candidates(findings),
        "sizes": _tabulate_sizes(size) if size else None,
        "gaps": _tabulate_gaps(attrition) if attrition else None,
        "scenarios": _tabulate_scenarios(attrition) if attrition else None,
        "recorded": _tabulate_recorded(findings),
        "ranges": _tabulate_ranges(card),
        "versions": _tabulate_keys("Software", "Version", card.versions),
        "files": _tabulate_keys("Files of the model", "SHA-256", card.files),
        "checklist": _tabulate_checklist(findings),
    }


def list_undone(findings: Findings) -> list[tuple[str, str]]:
    """List the types of validation that were not done, and why; only one applies elsewhere."""
    reasons: dict[ValidationType, str] = {p.way: p.because for p in findings.performance}
    external: tuple[ValidationType, ...] = ("external",)
    types = external if findings.purpose == "external" else get_args(ValidationType)
    reasons.setdefault("external", _EXTERNAL_ELSEWHERE)
    return [
        (VALIDATION_TYPES[validation_type], reasons.get(validation_type) or _NO_REASON)
        for validation_type in types
        if findings.find_performance(validation_type) is None
    ]


def _tabulate_performance(findings: Findings) -> HtmlTable | None:
    done = [performance for performance in findings.performance if performance.measures]
    keys = list_measures(done)
    if not keys:
        return None
    head: list[Cell] = ["Measure"]
    for performance in done:
        optimism = ["of which optimism"] if performance.optimism else []
        head += [VALIDATION_TYPES[performance.way], *optimism]
    rows = (
        [
            Markup("{}<br><small>{}</small>").format(*label_measure(key)[:2]),
            *(cell for performance in done for cell in _list_validation_cells(performance, key)),
        ]
        for key in keys
    )
    return make_html_table("Performance by type of validation, with intervals", head, rows)


def _list_validation_cells(performance: Performance, key: str) -> Iterator[Cell]:
    digits = label_measure(key).digits
    yield show_measure(performance.measures.get(key), digits)
    # The slope is corrected by a factor, all other measures by a difference.
    if performance.optimism and key == "slope" and performance.shrinkage is not None:
        yield Markup("\u00d7 {}").format(show_number(performance.shrinkage, digits))
    elif performance.optimism:
        yield show_number(performance.optimism.get(key), digits, signed=True)


def _tabulate_candidates(findings: Findings) -> HtmlTable | None:
    if not findings.candidates:
        return None
    labels = {key: label_measure(key) for key in COMPARED}
    rows = (
        [
            Markup("<strong>{}</strong> (chosen)").format(candidate.label)
            if candidate.chosen
            else candidate.label,
            *(show_measure(candidate.measures.get(key), lb.digits) for key, lb in labels.items()),
            _show_difference(candidate),
            show_percent(candidate.picked),
        ]
        for candidate in findings.candidates
    )
    head = ["Candidate", *(label.name for label in labels.values())]
    head += ["Log loss minus base rate\u2019s, ± standard error", "Chosen in refits"]
    return make_html_table("Candidates, on held-out courses", head, rows)


def _show_difference(candidate: Compared) -> Cell:
    if candidate.name == BASE_RATE:
        return NOTHING
    difference = show_number(candidate.difference, 4, signed=True)
    return Markup("{} ± {}").format(difference, show_number(candidate.error, 4))


def _tabulate_gate(findings: Findings) -> HtmlTable | None:
    if not findings.gate:
        return None
    rows = (
        [
            Markup("{}<br><small>{}</small>").format(name_key(criterion.name), criterion.question),
            _show_bounds(criterion),
            _show_figure(criterion.value),
            _show_result(criterion),
            criterion.because or NOTHING,
        ]
        for criterion in findings.gate
    )
    head = ["Criterion", "Required", "Found", "Result", "Reason"]
    caption = "What a model must show before clinicians see it"
    return make_html_table(caption, head, rows, wordy=True)


def _show_figure(value: float | None) -> Markup:
    # Some criteria are counts.
    whole = value is not None and float(value).is_integer()
    return show_number(value, 0 if whole else 3)


def _show_bounds(criterion: Criterion) -> Cell:
    low, high = show_plain(criterion.low), show_plain(criterion.high)
    if criterion.low is None and criterion.high is None:
        return NOTHING
    if criterion.high is None:
        return Markup("at least {}").format(low)
    if criterion.low is None:
        return Markup("at most {}").format(high)
    return Markup("{} to {}").format(low, high)


def _show_result(criterion: Criterion) -> Markup:
    # In a sign and a word: colour alone would be lost to some readers and in print.
    kind, text = {
        True: ("passed", "✓ passed"),
        False: ("failed", "✗ failed"),
        None: ("idle", f"{NOTHING} does not apply"),
    }[criterion.passed]
    return Markup('<span class="{}">{}</span>').format(kind, text)


def _tabulate_sizes(facts: SampleSizeFacts) -> HtmlTable | None:
    if not facts.courses:
        return None
    rows = (
        [
            SAMPLE_SIZES.get(key, name_key(key)),
            show_count(courses),
            "largest" if key == facts.binding else NOTHING,
        ]
        for key, courses in facts.courses.items()
    )
    return make_html_table("Courses needed", ["For", "Courses", "Binding"], rows)


def _tabulate_gaps(attrition: Attrition) -> HtmlTable | None:
    if not attrition.gaps:
        return None
    return make_html_table(
        "Largest differences at baseline: missing minus known outcomes, in standard deviations",
        ["Field", "Difference"],
        ([gap.label, show_number(gap.difference, 2, signed=True)] for gap in attrition.gaps),
    )


def _tabulate_scenarios(attrition: Attrition) -> HtmlTable | None:
    if not attrition.scenarios:
        return None
    labels = [label_measure(key).name for key in ("intercept", "slope")]
    return make_html_table(
        "Sensitivity to missing outcomes: odds of the event, relative to the same baseline with a "
        "known outcome",
        ["Odds ratio", "Event rate if missing", "Base rate", "Mean estimate", *labels],
        (
            [
                show_number(row.odds_ratio, 2),
                *(show_percent(x, 1) for x in (row.missing_rate, row.base_rate, row.predicted)),
                show_number(row.intercept, 2, signed=True),
                show_number(row.slope, 2),
            ]
            for row in attrition.scenarios
        ),
    )


def _tabulate_recorded(findings: Findings) -> HtmlTable | None:
    if not findings.recorded:
        return None
    ordered = sorted(findings.recorded.items(), key=lambda pair: -pair[1])
    return make_html_table(
        "Proportion of courses in which a field is recorded",
        ["Field", "Recorded"],
        (
            [name_field(name, findings.card.dictionary), show_percent(share, 1)]
            for name, share in ordered
        ),
    )


def _tabulate_ranges(card: ModelCard) -> HtmlTable | None:
    if not card.ranges:
        return None
    return make_html_table(
        "Studied ranges; outside them the model gives no estimate",
        ["Field", "Studied"],
        (
            [name_field(studied.field, card.dictionary), _show_range(studied)]
            for studied in card.ranges
        ),
    )


def _show_range(studied: StudiedRange) -> Cell:
    if studied.categories:
        return ", ".join(studied.categories)
    return Markup("{} to {}").format(show_plain(studied.low), show_plain(studied.high))


def _tabulate_keys(caption: str, head: str, texts: Mapping[str, str]) -> HtmlTable | None:
    if not texts:
        return None
    rows = ([key, Markup("<code>{}</code>").format(text)] for key, text in texts.items())
    return make_html_table(caption, ["Name", head], rows, wordy=True)


def _tabulate_checklist(findings: Findings) -> HtmlTable | None:
    if not findings.checklist:
        return None
    rows = (
        [
            item.number,
            Markup("{}<br><small>{}</small>").format(item.topic, item.section),
            item.answer or Markup("<em>Not answered: {}.</em>").format(item.because),
        ]
        for item in findings.checklist
    )
    return make_html_table("TRIPOD+AI checklist", ["Item", "Topic", "Answer"], rows, wordy=True)
