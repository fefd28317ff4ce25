"""Subgroups: whether the model is equally well calibrated in all groups of patients."""

from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup

from features.model.card import ModelCard
from training.findings.findings import Findings
from training.findings.words import describe_event, label_measure, name_field
from training.measures.subgroups import Subgroup
from training.report.forest import Row, draw_forest_plot, scale_factors
from training.report.layout import Figure, Table, make_table
from training.report.numbers import (
    NOTHING,
    show_count,
    show_measure,
    show_number,
    show_percent,
)
from training.report.svg import draw_number

# Groups without a mark that the drawing lists by name; a clinic of many small sites would fill
# a page with them, and the table has each.
_MAX_UNMARKED = 4
_RATIO, _AUC = label_measure("ratio"), label_measure("auc")


def draw_subgroups(findings: Findings) -> Figure:
    """Draw the O/E ratio of every group."""
    rows = findings.subgroups
    if not rows:
        return Figure()
    listed = list(_list_group_rows(rows, findings.card))
    drawing = draw_forest_plot(
        "subgroups-drawing",
        f"{_RATIO.name} by subgroup",
        "Each group's value with its interval; on the line, observed events equal expected ones.",
        listed,
        scale_factors(listed),
        1.0,
        _RATIO.name,
        _RATIO.digits,
    )
    return Figure((drawing,), (tabulate_groups(findings),))


def _list_group_rows(rows: tuple[Subgroup, ...], card: ModelCard) -> Iterator[Row]:
    event = describe_event(card)
    for grouping, members in groupby(rows, key=lambda row: row.grouping):
        groups = list(members)
        yield Row(name_field(grouping, card.dictionary), kind="head")
        for group in groups:
            if group.ratio is not None:
                yield Row(group.name, group.ratio, _describe_group(group, event))
        unmarked = [group for group in groups if group.ratio is None]
        if len(unmarked) > _MAX_UNMARKED:
            yield Row("others", None, Markup("too few or hidden; each is in the table"))
        else:
            yield from (Row(g.name, None, _describe_group(g, event)) for g in unmarked)


def _describe_group(group: Subgroup, event: str) -> Markup:
    if group.courses is None or group.events is None:
        return Markup("{}").format(group.note or "hidden")
    counts = draw_number(group.events), draw_number(group.courses)
    text = Markup("{} of {} {}").format(*counts, event)
    return Markup("{}; {}").format(text, group.note) if group.note else text


def tabulate_groups(findings: Findings) -> Table | None:
    """Tabulate the performance in every group."""
    head = ["Group", "Courses", "Events", "Mean estimate", _RATIO.name, _AUC.name]
    return make_table(
        "Performance by subgroup",
        [*head, "Smallest detectable factor", "Note"],
        (
            [
                f"{name_field(row.grouping, findings.card.dictionary)}: {row.name}",
                "hidden" if row.courses is None else show_count(row.courses),
                "hidden" if row.events is None else show_count(row.events),
                show_percent(row.estimate, 1),
                show_measure(row.ratio, _RATIO.digits),
                show_measure(row.auc, _AUC.digits),
                show_number(row.detectable, 2),
                row.note or NOTHING,
            ]
            for row in findings.subgroups
        ),
    )
