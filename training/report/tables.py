"""The reports' tables outside their figures; None if a table would be empty."""

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from features.model.card import ModelCard, StudiedRange
from training.candidates.registry import BASE_RATE
from training.findings.findings import Compared, Criterion, Findings, Flow, Performance
from training.findings.words import (
    SAMPLE_SIZES,
    VALIDATION_TYPES,
    label_measure,
    list_measures,
    name_field,
    name_key,
)
from training.measures.performance import COMPARED
from training.report.layout import Cell, Table, make_table
from training.report.numbers import (
    NOTHING,
    show_count,
    show_measure,
    show_number,
    show_percent,
    show_plain,
)


def make_tables(findings: Findings) -> dict[str, Table | None]:
    """Make every table outside the figures, by the name that the templates use."""
    card = findings.card
    return {
        "gate": _tabulate_gate(findings),
        "flow": tabulate_flow(findings.flow),
        "performance": tabulate_performance(findings.performance),
        "candidates": _tabulate_candidates(findings),
        "sizes": _tabulate_sizes(findings),
        "gaps": _tabulate_gaps(findings),
        "scenarios": _tabulate_scenarios(findings),
        "recorded": _tabulate_recorded(findings),
        "ranges": _tabulate_ranges(card),
        "versions": _tabulate_keys("Software", "Version", card.versions),
        "files": _tabulate_keys("Files of the model", "SHA-256", card.files),
        "checklist": _tabulate_checklist(findings),
    }


def tabulate_performance(performance: Sequence[Performance]) -> Table | None:
    """Tabulate measures, with their intervals, by type of validation."""
    done = [validation for validation in performance if validation.measures]
    labels = {key: label_measure(key) for key in list_measures(done)}
    head: list[Cell] = ["Measure"]
    for validation in done:
        optimism = ["of which optimism"] if validation.optimism else []
        head += [VALIDATION_TYPES[validation.way], *optimism]
    return make_table(
        "Performance by type of validation, with intervals",
        head,
        (
            [label.name, *(cell for v in done for cell in _list_cells(v, key, label.digits))]
            for key, label in labels.items()
        ),
        hints=[label.hint for label in labels.values()],
    )


def _list_cells(performance: Performance, key: str, digits: int) -> Iterator[Cell]:
    yield show_measure(performance.measures.get(key), digits)
    # The slope is corrected by a factor, all other measures by a difference.
    if performance.optimism and key == "slope" and performance.shrinkage is not None:
        yield Markup("\u00d7 {}").format(show_number(performance.shrinkage, digits))
    elif performance.optimism:
        yield show_number(performance.optimism.get(key), digits, signed=True)


def tabulate_measures(card: ModelCard) -> Table | None:
    """Tabulate the measures on a card, which a version without findings has as well."""
    measures = card.performance.get(card.candidate, {})
    labels = {key: label_measure(key) for key in COMPARED if key in measures}
    rows = ([lb.name, show_measure(measures[key], lb.digits)] for key, lb in labels.items())
    return make_table("Performance in cross-validation", ["Measure", "Value"], rows)


def _tabulate_candidates(findings: Findings) -> Table | None:
    labels = {key: label_measure(key) for key in COMPARED}
    head = ["Candidate", *(label.name for label in labels.values())]
    head += ["Log loss minus base rate\u2019s, ± standard error", "Chosen in refits"]
    return make_table(
        "Candidates, on held-out courses",
        head,
        (
            [
                Markup("<strong>{}</strong> (chosen)" if candidate.chosen else "{}").format(
                    candidate.label
                ),
                *(show_measure(candidate.measures.get(k), lb.digits) for k, lb in labels.items()),
                _show_difference(candidate),
                show_percent(candidate.picked),
            ]
            for candidate in findings.candidates
        ),
    )


def _show_difference(candidate: Compared) -> Cell:
    if candidate.name == BASE_RATE:
        return NOTHING
    difference = show_number(candidate.difference, 4, signed=True)
    return Markup("{} ± {}").format(difference, show_number(candidate.error, 4))


def _tabulate_gate(findings: Findings) -> Table | None:
    return make_table(
        "What a model must show before clinicians see it",
        ["Criterion", "Required", "Found", "Result", "Reason"],
        (
            [
                name_key(criterion.name),
                _show_bounds(criterion),
                # Some criteria are counts.
                show_number(criterion.value, 0 if float(criterion.value or 0).is_integer() else 3),
                _show_result(criterion),
                criterion.because or NOTHING,
            ]
            for criterion in findings.gate
        ),
        wordy=True,
        hints=[criterion.question for criterion in findings.gate],
    )


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


def tabulate_flow(flow: Flow | None) -> Table | None:
    """Tabulate the flow of courses, from those read to those analysed."""
    if flow is None:
        return None
    steps: list[tuple[str, int | None]] = []
    for table in flow.tables:
        name = f"Rows of {table.table}"
        steps.append((name, table.read))
        steps += [(f"{name} left aside: {row.reason}", row.courses) for row in table.excluded]
    aside = flow.patients_excluded
    steps += [(f"Patients left aside: {row.reason}", row.courses) for row in aside]
    steps += [
        ("Courses read", flow.read),
        *((f"Excluded: {row.reason}", row.courses) for row in flow.excluded),
        ("Courses analysed", flow.analysed),
        ("Events", flow.events),
        ("Non-events", flow.non_events),
        ("Patients analysed", flow.patients),
        ("Sites analysed", flow.sites),
    ]
    rows = ([name, show_count(courses)] for name, courses in steps)
    return make_table("Flow of courses", ["Step", "Number"], rows)


def _tabulate_sizes(findings: Findings) -> Table | None:
    facts = findings.sample_size
    if facts is None:
        return None
    rows = (
        [
            SAMPLE_SIZES.get(key, name_key(key)),
            show_count(courses),
            "largest" if key == facts.binding else NOTHING,
        ]
        for key, courses in facts.courses.items()
    )
    return make_table("Courses needed", ["For", "Courses", "Binding"], rows)


def _tabulate_gaps(findings: Findings) -> Table | None:
    gaps = findings.attrition.gaps if findings.attrition else ()
    return make_table(
        "Largest differences at baseline: missing minus known outcomes, in standard deviations",
        ["Field", "Difference"],
        ([gap.label, show_number(gap.difference, 2, signed=True)] for gap in gaps),
    )


def _tabulate_scenarios(findings: Findings) -> Table | None:
    labels = [label_measure(key).name for key in ("intercept", "slope")]
    return make_table(
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
            for row in (findings.attrition.scenarios if findings.attrition else ())
        ),
    )


def _tabulate_recorded(findings: Findings) -> Table | None:
    ordered = sorted(findings.recorded.items(), key=lambda pair: -pair[1])
    return make_table(
        "Proportion of courses in which a field is recorded",
        ["Field", "Recorded"],
        (
            [name_field(name, findings.card.dictionary), show_percent(share, 1)]
            for name, share in ordered
        ),
    )


def _tabulate_ranges(card: ModelCard) -> Table | None:
    return make_table(
        "Studied ranges; outside them the model gives no estimate",
        ["Field", "Studied"],
        ([name_field(row.field, card.dictionary), _show_range(card, row)] for row in card.ranges),
    )


def _show_range(card: ModelCard, studied: StudiedRange) -> Cell:
    if studied.categories:
        return ", ".join(card.label_studied(studied.field))
    return Markup("{} to {}").format(show_plain(studied.low), show_plain(studied.high))


def _tabulate_keys(caption: str, head: str, texts: Mapping[str, str]) -> Table | None:
    rows = ([key, Markup("<code>{}</code>").format(text)] for key, text in texts.items())
    return make_table(caption, ["Name", head], rows, wordy=True)


def _tabulate_checklist(findings: Findings) -> Table | None:
    rows = (
        [
            item.number,
            Markup("{}<br><small>{}</small>").format(item.topic, item.section),
            item.answer or Markup("<em>Not answered: {}.</em>").format(item.because),
        ]
        for item in findings.checklist
    )
    return make_table("TRIPOD+AI checklist", ["Item", "Topic", "Answer"], rows, wordy=True)
