"""Sites, fields and subgroups: three forest plots, and their numbers."""

from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup

from features.model.card import ModelCard
from training.findings.findings import AcrossSites, FactorFacts, Findings, SiteFacts
from training.findings.words import describe_event, label_measure, name_field
from training.measures.subgroups import Subgroup
from training.report.forest_plot import Row, draw_forest_plot, scale_factors, scale_plain
from training.report.layout import Cell, Figure, Table, make_table
from training.report.numbers import (
    NOTHING,
    show_count,
    show_measure,
    show_number,
    show_percent,
)

_DRAWN = ("auc", "ratio")
# Instead, if no O/E ratio was measured.
_DRAWN_OTHERWISE = ("auc", "slope")
_REFERENCES = {"auc": 0.5, "ratio": 1.0, "slope": 1.0, "intercept": 0.0}
# The ratio has a logarithmic axis, and so no step.
_STEPS = {"auc": 0.1, "slope": 0.5, "intercept": 0.5}
_MEAN, _NEW_SITE = "All sites, mean", "A new site"
# As many fields as fit a screen; the table has all.
MAX_FACTORS = 15
# Shown as complete: such a percentage would round to 100%.
_COMPLETE = 0.995
# Groups without a mark that the drawing lists by name; a clinic of many small sites would fill
# a page with them, and the table has each.
_MAX_UNMARKED = 4
_RATIO, _AUC = label_measure("ratio"), label_measure("auc")


def draw_sites(findings: Findings) -> Figure:
    """Draw a forest plot of AUC and one of the O/E ratio."""
    facts = findings.across_sites
    if facts is None or not facts.sites:
        return Figure()
    measured = _list_measured(facts)
    keys = _DRAWN if "ratio" in measured else _DRAWN_OTHERWISE
    event = describe_event(findings.card)
    drawings = tuple(_draw_measure(facts, key, event) for key in keys if key in measured)
    return Figure(drawings, (_tabulate_sites(facts), _tabulate_pooled(facts)))


def _list_measured(facts: AcrossSites) -> list[str]:
    return [key for key in _REFERENCES if any(_is_measured(site, key) for site in facts.sites)]


def _is_measured(site: SiteFacts, key: str) -> bool:
    return key in site.measures and site.measures[key].value is not None


def _draw_measure(facts: AcrossSites, key: str, event: str) -> Markup:
    rows, label = list(_list_site_rows(facts, key, event)), label_measure(key)
    reference = _REFERENCES[key]
    scale = scale_factors(rows) if key == "ratio" else scale_plain(rows, _STEPS[key], reference)
    title = f"{label.name} by site"
    description = "Each site's value and interval, the pooled mean, and the range of a new site."
    return draw_forest_plot(
        f"sites-{key}", title, description, rows, scale, reference, label.name, label.digits
    )


def _list_site_rows(facts: AcrossSites, key: str, event: str) -> Iterator[Row]:
    for site in facts.sites:
        detail = _describe_counts(site, event) or Markup("counts hidden")
        if site.note:
            detail = Markup("{}; {}").format(detail, site.note)
        yield Row(site.name, site.measures.get(key), detail)
    pooled = facts.pooled.get(key)
    if pooled is not None:
        yield Row(_MEAN, pooled.mean, kind="pooled")
        yield Row(_NEW_SITE, pooled.next_site, kind="next")


def _describe_counts(group: SiteFacts | Subgroup, event: str) -> Markup | None:
    if group.courses is None or group.events is None:
        return None
    counts = show_count(group.events), show_count(group.courses)
    return Markup("{} of {} {}").format(*counts, event)


def _show_counts(group: SiteFacts | Subgroup) -> list[Cell]:
    counts = (group.courses, group.events)
    return ["hidden" if count is None else show_count(count) for count in counts]


def _tabulate_sites(facts: AcrossSites) -> Table | None:
    labels = {key: label_measure(key) for key in _list_measured(facts)}
    rows: list[list[Cell]] = [
        [
            site.name,
            *_show_counts(site),
            *(show_measure(site.measures.get(key), label.digits) for key, label in labels.items()),
            site.note or NOTHING,
        ]
        for site in facts.sites
    ]
    pooled = {key: facts.pooled.get(key) for key in labels}
    for name, attribute in ((_MEAN, "mean"), (_NEW_SITE, "next_site")) if facts.pooled else ():
        cells = (
            show_measure(getattr(pooled[key], attribute, None), label.digits)
            for key, label in labels.items()
        )
        rows.append([name, "", "", *cells, ""])
    names = (label.name for label in labels.values())
    return make_table("Performance by site", ["Site", "Courses", "Events", *names, "Note"], rows)


def _tabulate_pooled(facts: AcrossSites) -> Table | None:
    return make_table(
        "Heterogeneity between sites; the SD of AUC is on the logit scale, that of the O/E ratio "
        "on the log scale",
        ["Measure", "Between-site SD (τ)", "I²", "Sites", "Excluded"],
        (
            [
                label_measure(key).name,
                show_number(pooled.spread, 2),
                show_percent(pooled.inconsistency),
                show_count(pooled.sites),
                show_count(pooled.left_out),
            ]
            for key, pooled in facts.pooled.items()
        ),
    )


def draw_factors(findings: Findings) -> Figure:
    """Draw how much each field moves the log-odds, the largest first."""
    factors = sorted(findings.factors, key=lambda factor: -(factor.deviation.value or 0))
    if not factors:
        return Figure()
    rows = [Row(f.label, f.deviation, _describe_recorded(f), "bar") for f in factors[:MAX_FACTORS]]
    drawing = draw_forest_plot(
        "factors-drawing",
        "Fields that influence the estimates",
        "Standard deviation of each field's contribution to the log-odds, with its interval.",
        rows,
        scale_plain(rows, 0.1, 0.0),
        0.0,
        "standard deviation in log-odds",
    )
    table = make_table(
        "Contributions of fields to the log-odds",
        ["Field", "Standard deviation", "Recorded"],
        ([f.label, show_measure(f.deviation, 2), show_percent(f.recorded)] for f in factors),
    )
    return Figure((drawing,), (table,))


def _describe_recorded(factor: FactorFacts) -> Markup:
    if factor.recorded > _COMPLETE:
        return Markup("")
    return Markup("{} recorded").format(show_percent(factor.recorded))


def draw_subgroups(findings: Findings) -> Figure:
    """Draw the O/E ratio of every group."""
    if not findings.subgroups:
        return Figure()
    rows = list(_list_group_rows(findings.subgroups, findings.card))
    drawing = draw_forest_plot(
        "subgroups-drawing",
        f"{_RATIO.name} by subgroup",
        "Each group's value with its interval; on the line, observed events equal expected ones.",
        rows,
        scale_factors(rows),
        1.0,
        _RATIO.name,
        _RATIO.digits,
    )
    return Figure((drawing,), (tabulate_groups(findings),))


def _list_group_rows(subgroups: tuple[Subgroup, ...], card: ModelCard) -> Iterator[Row]:
    event = describe_event(card)
    for grouping, members in groupby(subgroups, key=lambda row: row.grouping):
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
    counts = _describe_counts(group, event)
    if counts is None:
        return Markup("{}").format(group.note or "hidden")
    return Markup("{}; {}").format(counts, group.note) if group.note else counts


def tabulate_groups(findings: Findings) -> Table | None:
    """Tabulate the performance in every group."""
    head = ["Group", "Courses", "Events", "Mean estimate", _RATIO.name, _AUC.name]
    return make_table(
        "Performance by subgroup",
        [*head, "Smallest detectable factor", "Note"],
        (
            [
                f"{name_field(row.grouping, findings.card.dictionary)}: {row.name}",
                *_show_counts(row),
                show_percent(row.estimate, 1),
                show_measure(row.ratio, _RATIO.digits),
                show_measure(row.auc, _AUC.digits),
                show_number(row.detectable, 2),
                row.note or NOTHING,
            ]
            for row in findings.subgroups
        ),
    )
