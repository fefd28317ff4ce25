"""Across sites: how each did, and what to expect at the next one."""

from collections.abc import Iterator

from markupsafe import Markup

from features.model.card import Measure
from training.findings.findings import AcrossSites, Findings, SiteFacts
from training.findings.words import get_digits, name_measure, tell_outcome
from training.report.html.figure import Figure
from training.report.html.forest import Row, draw_forest, scale_factors, scale_plain
from training.report.html.numbers import NOTHING, show_count, show_measure, show_number, show_share
from training.report.html.svg import count_in
from training.report.html.table import Cell, Table, make_table

HEADING = "Does it hold at sites that it has not seen?"
DRAWN = ("auc", "ratio")
# Where no ratio was measured, the slope stands in.
OTHERWISE = ("auc", "slope")
REFERENCES = {"auc": 0.5, "ratio": 1.0, "slope": 1.0, "intercept": 0.0}
STEPS = {"auc": 0.1, "slope": 0.5, "intercept": 0.5}


def draw_sites(findings: Findings) -> Figure:
    """Draw a forest plot for AUC and one for observed over expected."""
    facts = findings.across_sites
    if facts is None or not facts.sites:
        caption = Markup("Not done: there were not enough sites to hold one out at a time.")
        return Figure("sites", HEADING, caption)
    measured = list_measured(facts)
    keys = DRAWN if "ratio" in measured else OTHERWISE
    verb = tell_outcome(findings.card)
    drawings = tuple(draw_measure(facts, key, verb) for key in keys if key in measured)
    tables = (tabulate(facts), *([tabulate_pooled(facts)] if facts.pooled else []))
    return Figure("sites", HEADING, caption_sites(facts), drawings, tables)


def list_measured(facts: AcrossSites) -> list[str]:
    """List the measures that any site has."""
    return [key for key in REFERENCES if any(get_value(s, key) is not None for s in facts.sites)]


def get_value(site: SiteFacts, key: str) -> float | None:
    """One measure of a site."""
    return site.measures[key].value if key in site.measures else None


def draw_measure(facts: AcrossSites, key: str, verb: str) -> Markup:
    """Draw one measure: sites, their pooled mean, and the next site."""
    rows = list(list_rows(facts, key, verb))
    scale = (
        scale_factors(rows) if key == "ratio" else scale_plain(rows, STEPS[key], REFERENCES[key])
    )
    title = f"{name_measure(key)} by site"
    description = "Each site's value with its interval, the pooled mean, and the next site's range."
    return draw_forest(
        f"sites-{key}", title, description, rows, scale, REFERENCES[key], name_measure(key),
        get_digits(key),
    )  # fmt: skip


def list_rows(facts: AcrossSites, key: str, verb: str) -> Iterator[Row]:
    """List a row for each site, then the mean and the next site."""
    for site in facts.sites:
        detail = Markup("counts hidden")
        if site.courses is not None and site.events is not None:
            detail = Markup("{} of {} {}").format(
                count_in(site.events), count_in(site.courses), verb
            )
        if site.note:
            detail = Markup("{}; {}").format(detail, site.note)
        yield Row(site.name, site.measures.get(key), detail)
    pooled = facts.pooled.get(key)
    if pooled is not None:
        yield Row("All sites, mean", pooled.mean, kind="pooled")
        yield Row("The next site", pooled.next_site, kind="next")


def caption_sites(facts: AcrossSites) -> Markup:
    """Say how to read it."""
    told = [
        "Each site was judged by what all others taught. A square is a site, its line the "
        "interval; the diamond is the mean over sites; the hollow bar is where the next site "
        "should be expected, which is what a clinic that takes up the model should read. An arrow "
        "says that an interval goes on."
    ]
    if not facts.pooled:
        told.append("Nothing was pooled: too few sites could be measured.")
    if any(pooled.next_site.low is None for pooled in facts.pooled.values()):
        told.append("So few sites say nothing of the next one.")
    return Markup(" ").join(told)


def tabulate(facts: AcrossSites) -> Table:
    """List sites, then what was pooled."""
    keys = list_measured(facts)
    rows: list[list[Cell]] = [
        [
            site.name,
            "hidden" if site.courses is None else show_count(site.courses),
            "hidden" if site.events is None else show_count(site.events),
            *(show_measure(site.measures.get(key), get_digits(key)) for key in keys),
            site.note or NOTHING,
        ]
        for site in facts.sites
    ]
    rows += [pool_row(facts, keys, name) for name in ("mean", "next_site") if facts.pooled]
    return make_table(
        "Performance by site",
        ["Site", "Courses", "Events", *(name_measure(key) for key in keys), "Note"],
        rows,
    )


def pool_row(facts: AcrossSites, keys: list[str], name: str) -> list[Cell]:
    """Make the row of the pooled means, or of the next site."""
    found: list[Measure | None] = [
        getattr(facts.pooled[key], name) if key in facts.pooled else None for key in keys
    ]
    label = "All sites, mean" if name == "mean" else "The next site"
    shown = (show_measure(one, get_digits(key)) for key, one in zip(keys, found, strict=True))
    return [label, "", "", *shown, ""]


def tabulate_pooled(facts: AcrossSites) -> Table:
    """List how far sites differ."""
    return make_table(
        "How far sites differ",
        ["Measure", "Spread between sites", "Share not owed to chance", "Sites", "Left out"],
        (
            [
                name_measure(key),
                show_number(pooled.spread, 2),
                show_share(pooled.inconsistency),
                show_count(pooled.sites),
                show_count(pooled.left_out),
            ]
            for key, pooled in facts.pooled.items()
        ),
    )
