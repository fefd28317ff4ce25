"""The report on models: tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from experiments.benchmarks.methods.methods import CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.figure import draw_shares
from experiments.benchmarks.models.models import ModelRequest
from experiments.benchmarks.models.summary import SITE_KINDS, Board, ModelRow, compare_methods
from experiments.benchmarks.models.verdicts import judge_models
from experiments.benchmarks.report import (
    Figure,
    Report,
    Section,
    format_number,
    format_skipped,
    format_table,
    format_verdicts,
)

_HEADING = ["method", "log loss", "share of gain", "AUC", "slope", "fit, s", "80% interval holds"]
_MEAN_SITE = "holds the mean over sites"


def report_models(board: Board, request: ModelRequest, skipped: Mapping[str, str]) -> Report:
    """Report on the comparison of models."""
    plan, verdicts = request.plan, judge_models(board)
    blocks = [
        f"SIMULATED: {request.worlds} drawn worlds, and the null world {request.null_cohorts} "
        f"times; tested on {plan.tested:,} courses at the worlds' own sites and "
        f"{plan.tested:,} at {plan.new_sites} new sites of each.",
        *format_skipped({label_method(name): reason for name, reason in skipped.items()}),
        "### Verdicts",
        format_verdicts(verdicts),
        *_list_tables(board),
        "### Difference in log loss to each peer, paired by world",
        f"Of {label_method(CHOSEN)}; below 0 it is the better one.",
        format_table(["peer", "courses", *SITE_KINDS], _list_gaps(board)),
    ]
    alternative = "Share of the attainable gain by number of courses, SIMULATED"
    figure = Figure(alternative, "benchmark-models.png", partial(draw_shares, board))
    section = Section("benchmark models", "benchmarks/models.md", blocks, figure)
    data = {
        "data": "SIMULATED",
        "worlds": request.worlds,
        "null_cohorts": request.null_cohorts,
        "sizes": list(request.sizes),
        "plan": asdict(plan),
        "skipped": dict(skipped),
        "rows": [row.as_dict() for row in board.list_rows()],
        "differences": list(_list_differences(board)),
    }
    return Report([section], data, verdicts)


def _list_tables(board: Board) -> Iterator[str]:
    rows = board.list_rows()
    for kind in SITE_KINDS:
        for courses in board.sizes:
            chosen = [row for row in rows if (row.site_kind, row.courses) == (kind, courses)]
            yield f"### {courses:,} courses, {kind} sites"
            # At known sites the two coverages are the same.
            width = len(_HEADING) + (kind != "known")
            yield format_table(
                [*_HEADING, _MEAN_SITE][:width], [_list_cells(row)[:width] for row in chosen]
            )


def _list_cells(row: ModelRow) -> list[str]:
    label = label_method(row.method)
    if row.method == CHOSEN:
        times = ", ".join(f"{name} {count}" for name, count in row.selected.items())
        label = f"**{label}** ({times})"
    return [
        label,
        f"{row.log_loss:.4f}",
        format_number(row.share, ".0%"),
        f"{row.auc:.3f}",
        format_number(row.slope, ".2f"),
        f"{row.seconds:.1f}",
        format_number(row.coverage, ".3f"),
        format_number(row.coverage_of_mean_site, ".3f"),
    ]


def _list_gaps(board: Board) -> Iterator[list[str]]:
    for name in (name for name in board.methods if name in PEERS):
        for courses in board.sizes:
            gaps = [
                compare_methods(board.drawn, CHOSEN, name, courses, kind) for kind in SITE_KINDS
            ]
            if any(gaps):
                yield [label_method(name), f"{courses:,}", *(str(gap or "") for gap in gaps)]


def _list_differences(board: Board) -> Iterator[dict[str, Any]]:
    for name in (name for name in board.methods if name != CHOSEN):
        for courses in board.sizes:
            for kind in SITE_KINDS:
                if gap := compare_methods(board.drawn, CHOSEN, name, courses, kind):
                    yield {"to": name, "courses": courses, "place": kind, **asdict(gap)}
