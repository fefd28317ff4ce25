"""Subgroups: whether the model is as well calibrated for one group as for another."""

from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup

from features.dictionary.dictionary import Dictionary
from features.model.card import ModelCard
from training.findings.findings import Findings
from training.findings.words import name_field, tell_outcome
from training.measures.subgroups import Subgroup
from training.report.html.figure import Figure
from training.report.html.forest import Row, draw_forest, scale_factors
from training.report.html.numbers import NOTHING, show_count, show_measure, show_number, show_share
from training.report.html.svg import count_in
from training.report.html.table import Table, make_table

# Groups without a mark that are listed by name in the drawing.
MOST_SILENT = 4
HEADING = "Does it treat groups of patients alike?"


def draw_subgroups(findings: Findings) -> Figure:
    """Draw observed over expected of every group."""
    rows = findings.subgroups
    if not rows:
        return Figure("subgroups", HEADING, Markup("Not done: no groups were compared."))
    listed = list(list_rows(rows, findings.card))
    drawing = draw_forest(
        "subgroups-drawing",
        "Observed over expected by subgroup",
        "Each group's value with its interval; on the line, as many as were told.",
        listed,
        scale_factors(listed),
        1.0,
        "observed over expected",
    )
    return Figure(
        "subgroups",
        HEADING,
        caption_subgroups(rows),
        (drawing,),
        (tabulate(rows, findings.card.dictionary),),
    )


def list_rows(rows: tuple[Subgroup, ...], card: ModelCard) -> Iterator[Row]:
    """List every group under the name of its grouping."""
    verb = tell_outcome(card)
    for grouping, groups in groupby(rows, key=lambda row: row.grouping):
        yield Row(name_field(grouping, card.dictionary), kind="head")
        silent = []
        for row in groups:
            if row.ratio is not None:
                yield Row(row.name, row.ratio, describe(row, verb))
            else:
                silent.append(row)
        if len(silent) > MOST_SILENT:
            # A clinic of many small sites would be a page of them; the table has each.
            yield Row("the others", None, Markup("too few or hidden, one by one in the table"))
        else:
            yield from (Row(row.name, None, describe(row, verb)) for row in silent)


def describe(row: Subgroup, verb: str) -> Markup:
    """Say how many there are, or why that is not said."""
    if row.courses is None or row.events is None:
        return Markup("{}").format(row.note or "hidden")
    counts = Markup("{} of {} {}").format(count_in(row.events), count_in(row.courses), verb)
    return Markup("{}; {}").format(counts, row.note) if row.note else counts


def caption_subgroups(rows: tuple[Subgroup, ...]) -> Markup:
    """Say how to read it, and what could not have been seen."""
    told = [
        Markup(
            "Left of the line fewer came true than were told, right of it more. A group without a "
            "mark is too small to be judged, or hidden so that nobody can be singled out."
        )
    ]
    seen = [row.detectable for row in rows if row.detectable is not None]
    if seen:
        told.append(
            Markup(
                "Even where most could be seen, differences from the others smaller than a factor "
                "of {} could not have been; the table says this of each group. That none is seen "
                "is no proof that there is none."
            ).format(show_number(min(seen), 2))
        )
    return Markup(" ").join(told)


def tabulate(rows: tuple[Subgroup, ...], dictionary: Dictionary) -> Table:
    """List every group."""
    return make_table(
        "Performance by subgroup",
        ["Group", "Courses", "Events", "Mean estimate", "Observed over expected", "AUC",
         "Not seen below a factor of", "Note"],
        (
            [
                f"{name_field(row.grouping, dictionary)}: {row.name}",
                "hidden" if row.courses is None else show_count(row.courses),
                "hidden" if row.events is None else show_count(row.events),
                show_share(row.estimate, 1),
                show_measure(row.ratio, 2),
                show_measure(row.auc),
                show_number(row.detectable, 2),
                row.note or NOTHING,
            ]
            for row in rows
        ),
    )  # fmt: skip
