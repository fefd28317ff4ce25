"""The report on models: tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from experiments.benchmarks.methods.methods import CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.figure import draw_shares
from experiments.benchmarks.models.models import ModelRequest
from experiments.benchmarks.models.summary import (
    SITE_KINDS,
    Board,
    Gap,
    compare_methods,
    select_drawn,
    summarise_methods,
)
from experiments.benchmarks.models.verdicts import judge_models
from experiments.benchmarks.report import (
    Figure,
    Report,
    Section,
    format_skipped,
    format_table,
    format_verdicts,
)

_HEADING = ["method", "log loss", "share of gain", "AUC", "slope", "fit, s", "80% interval holds"]
_FORMS = {"log_loss": ".4f", "share": ".0%", "auc": ".3f", "slope": ".2f", "seconds": ".1f"}
_FORMS |= {"coverage": ".3f", "coverage_of_mean_site": ".3f"}
_MEAN_SITE = "holds the mean over sites"
_UNDEFINED = "–"  # noqa: RUF001


def report_models(board: Board, request: ModelRequest, skipped: Mapping[str, str]) -> Report:
    """Report on the comparison of models."""
    plan, verdicts, rows = request.plan, judge_models(board), summarise_methods(board)
    drawn = select_drawn(board)
    others = [name for name in drawn["method"].unique() if name != CHOSEN]
    gaps = {name: compare_methods(drawn, CHOSEN, name) for name in others}
    blocks = [
        f"SIMULATED: {request.worlds} drawn worlds, and the null world {request.null_cohorts} "
        f"times; tested on {plan.tested:,} courses at the worlds' own sites and "
        f"{plan.tested:,} at {plan.new_sites} new sites of each.",
        *format_skipped({label_method(name): reason for name, reason in skipped.items()}),
        "### Verdicts",
        format_verdicts(verdicts),
        *_list_tables(rows),
        "### Difference in log loss to each peer, paired by world",
        f"Of {label_method(CHOSEN)}; below 0 it is the better one.",
        format_table(["peer", "courses", *SITE_KINDS], _list_gaps(gaps)),
    ]
    alternative = "Share of the attainable gain by number of courses, SIMULATED"
    figure = Figure(alternative, "benchmark-models.png", partial(draw_shares, rows))
    section = Section("benchmark models", "benchmarks/models.md", blocks, figure)
    data = {
        "data": "SIMULATED",
        "worlds": request.worlds,
        "null_cohorts": request.null_cohorts,
        "sizes": list(request.sizes),
        "plan": asdict(plan),
        "skipped": dict(skipped),
        "rows": rows,
        "differences": [
            {"to": name, "courses": courses, "place": kind, **asdict(gap)}
            for name, by_setting in gaps.items()
            for (courses, kind), gap in by_setting.items()
        ],
    }
    return Report([section], data, verdicts)


def _list_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for (kind, courses), group in groupby(rows, itemgetter("place", "courses")):
        yield f"### {courses:,} courses, {kind} sites"
        # At known sites the two coverages are the same.
        width = len(_HEADING) + (kind != "known")
        cells = [_list_cells(row)[:width] for row in group]
        yield format_table([*_HEADING, _MEAN_SITE][:width], cells)


def _list_cells(row: Mapping[str, Any]) -> list[str]:
    label = label_method(row["method"])
    if row["method"] == CHOSEN:
        times = ", ".join(f"{name} {count}" for name, count in row["picked"].items())
        label = f"**{label}** ({times})"
    values = ((row[name], form) for name, form in _FORMS.items())
    return [label, *(_UNDEFINED if v is None else format(v, form) for v, form in values)]


def _list_gaps(gaps: Mapping[str, Mapping[tuple[int, str], Gap]]) -> Iterator[list[str]]:
    for name in (name for name in gaps if name in PEERS):
        for courses in dict.fromkeys(courses for courses, _ in gaps[name]):
            cells = [str(gaps[name].get((courses, kind), "")) for kind in SITE_KINDS]
            yield [label_method(name), f"{courses:,}", *cells]
