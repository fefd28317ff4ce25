"""Across sites: performance at each, and what to expect at a new one."""

from collections.abc import Iterator

from markupsafe import Markup

from training.findings.findings import AcrossSites, Findings, SiteFacts
from training.findings.words import describe_event, label_measure
from training.report.forest import Row, draw_forest_plot, scale_factors, scale_plain
from training.report.layout import Cell, Figure, Table, make_table
from training.report.numbers import (
    NOTHING,
    show_count,
    show_measure,
    show_number,
    show_percent,
)
from training.report.svg import draw_number

_DRAWN = ("auc", "ratio")
# Instead, if no O/E ratio was measured.
_DRAWN_OTHERWISE = ("auc", "slope")
_REFERENCES = {"auc": 0.5, "ratio": 1.0, "slope": 1.0, "intercept": 0.0}
# The ratio has a logarithmic axis, and so no step.
_STEPS = {"auc": 0.1, "slope": 0.5, "intercept": 0.5}
_MEAN, _NEW_SITE = "All sites, mean", "A new site"


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
    rows, label, reference = (
        list(_list_site_rows(facts, key, event)),
        label_measure(key),
        _REFERENCES[key],
    )
    scale = scale_factors(rows) if key == "ratio" else scale_plain(rows, _STEPS[key], reference)
    title = f"{label.name} by site"
    description = "Each site's value and interval, the pooled mean, and the range of a new site."
    return draw_forest_plot(
        f"sites-{key}", title, description, rows, scale, reference, label.name, label.digits
    )


def _list_site_rows(facts: AcrossSites, key: str, event: str) -> Iterator[Row]:
    for site in facts.sites:
        detail = Markup("counts hidden")
        if site.courses is not None and site.events is not None:
            counts = draw_number(site.events), draw_number(site.courses)
            detail = Markup("{} of {} {}").format(*counts, event)
        if site.note:
            detail = Markup("{}; {}").format(detail, site.note)
        yield Row(site.name, site.measures.get(key), detail)
    pooled = facts.pooled.get(key)
    if pooled is not None:
        yield Row(_MEAN, pooled.mean, kind="pooled")
        yield Row(_NEW_SITE, pooled.next_site, kind="next")


def _tabulate_sites(facts: AcrossSites) -> Table | None:
    labels = {key: label_measure(key) for key in _list_measured(facts)}
    rows: list[list[Cell]] = [
        [
            site.name,
            "hidden" if site.courses is None else show_count(site.courses),
            "hidden" if site.events is None else show_count(site.events),
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
