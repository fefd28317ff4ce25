"""Tables of facts: sample size, missing outcomes, what is recorded, the model, the checklist."""

from markupsafe import Markup

from features.model.card import ModelCard, StudiedRange
from training.findings.findings import Attrition, Findings, SampleSizeFacts
from training.findings.words import SAMPLE_SIZES, name_field, name_key
from training.report.html.numbers import NOTHING, show_count, show_number, show_plain, show_share
from training.report.html.table import Cell, Table, make_table


def tabulate_sizes(facts: SampleSizeFacts) -> Table | None:
    """List the courses that each criterion asks for."""
    if not facts.courses:
        return None
    rows = (
        [
            SAMPLE_SIZES.get(key, name_key(key)),
            show_count(courses),
            "asks for most" if key == facts.binding else NOTHING,
        ]
        for key, courses in facts.courses.items()
    )
    return make_table("Courses needed", ["For", "Courses", "Binding"], rows)


def tabulate_gaps(facts: Attrition) -> Table | None:
    """List how those who lack the outcome differ."""
    if not facts.gaps:
        return None
    return make_table(
        "Where those without an outcome differ most, in standard deviations",
        ["Field", "Difference"],
        ([gap.label, show_number(gap.difference, 2, signed=True)] for gap in facts.gaps),
    )


def tabulate_scenarios(facts: Attrition) -> Table | None:
    """List what follows if those who do not report fare worse, or better."""
    if not facts.scenarios:
        return None
    return make_table(
        "If the odds of those without an outcome were so many times those of the others",
        ["Odds ratio", "Base rate of those", "of all", "Mean estimate", "Intercept", "Slope"],
        (
            [
                show_number(one.odds_ratio, 2),
                *(show_share(x, 1) for x in (one.missing_rate, one.base_rate, one.predicted)),
                show_number(one.intercept, 2, signed=True),
                show_number(one.slope, 2),
            ]
            for one in facts.scenarios
        ),
    )


def tabulate_recorded(findings: Findings) -> Table | None:
    """List how often each field is recorded, the rarest last."""
    if not findings.recorded:
        return None
    known = findings.card.dictionary
    ordered = sorted(findings.recorded.items(), key=lambda pair: -pair[1])
    return make_table(
        "Share of courses in which a field is recorded",
        ["Field", "Recorded"],
        ([name_field(name, known), show_share(share, 1)] for name, share in ordered),
    )


def tabulate_ranges(card: ModelCard) -> Table | None:
    """List what was studied; beyond it the model abstains."""
    if not card.ranges:
        return None
    return make_table(
        "Studied ranges; beyond them the model gives no estimate",
        ["Field", "Studied"],
        ([name_field(one.field, card.dictionary), show_range(one)] for one in card.ranges),
    )


def show_range(studied: StudiedRange) -> Cell:
    """Show a range, or its categories."""
    if studied.categories:
        return ", ".join(studied.categories)
    return Markup("{} to {}").format(show_plain(studied.low), show_plain(studied.high))


def tabulate_keys(caption: str, head: str, facts: dict[str, str]) -> Table | None:
    """List texts by their keys."""
    if not facts:
        return None
    rows = ([key, Markup("<code>{}</code>").format(text)] for key, text in facts.items())
    return make_table(caption, ["Name", head], rows, wordy=True)


def tabulate_checklist(findings: Findings) -> Table | None:
    """List the checklist: each item's answer, or why it has none."""
    if not findings.checklist:
        return None
    rows = (
        [
            item.number,
            Markup("{}<br><small>{}</small>").format(item.topic, item.section),
            item.answer or Markup("<em>Not answered, because {}</em>").format(item.because),
        ]
        for item in findings.checklist
    )
    return make_table("TRIPOD+AI checklist", ["Item", "Topic", "Answer"], rows, wordy=True)
