"""The report on models: tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from experiments.benchmarks.methods.methods import BASE_RATE, CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.figure import draw_shares
from experiments.benchmarks.models.models import ModelRequest
from experiments.benchmarks.models.summary import (
    COVERAGES,
    NULL,
    SITE_KINDS,
    Board,
    Gap,
    compare_methods,
    select_drawn,
    summarise_methods,
)
from experiments.benchmarks.report import (
    Figure,
    Report,
    Section,
    Verdict,
    format_skipped,
    format_table,
    format_verdicts,
)

_HEADING = ["method", "log loss", "share of gain", "AUC", "slope", "fit, s", "80% interval holds"]
_FORMS = {"log_loss": ".4f", "share": ".0%", "auc": ".3f", "slope": ".2f", "seconds": ".1f"}
_FORMS |= {"coverage": ".3f", "coverage_of_mean_site": ".3f"}
_MEAN_SITE = "holds the mean over sites"
_UNDEFINED = "–"  # noqa: RUF001
# Around the 0.80 that the intervals promise.
_COVERAGE = (0.75, 0.85)
# Up to this number of courses, better means beyond two standard errors; above, not worse.
_CLEAR_UP_TO = 1000
# In a world without effects the true AUC is 0.5; this allows for the noise of the tests.
_NULL_AUC = (0.48, 0.52)
_MAX_NULL_EXCESS = {250: 0.004, 4000: 0.001}


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


def judge_models(board: Board) -> list[Verdict]:
    """Judge every target that these results are about."""
    drawn = select_drawn(board)
    return [
        *_judge_peers(drawn),
        *_judge_first_patient(drawn),
        *_judge_coverage(drawn),
        *_judge_null(board[board["world"] == NULL]),
    ]


def _judge_peers(drawn: Board) -> Iterator[Verdict]:
    peers = [name for name in drawn["method"].unique() if name in PEERS]
    compared = {name: compare_methods(drawn, CHOSEN, name) for name in peers}
    for kind in SITE_KINDS:
        for courses in sorted(drawn["courses"].unique()):
            setting = (courses, kind)
            gaps = {name: gaps[setting] for name, gaps in compared.items() if setting in gaps}
            if gaps:
                yield _judge_gaps(gaps, courses, kind)


def _judge_gaps(gaps: Mapping[str, Gap], courses: int, kind: str) -> Verdict:
    strict = courses <= _CLEAR_UP_TO
    target = (
        "better than every peer beyond two standard errors" if strict else "not worse than any peer"
    )
    lost = [name for name, gap in gaps.items() if not (gap.is_clear if strict else gap.mean <= 0)]
    nearest = max(gaps, key=lambda name: gaps[name].mean)
    text = f"nearest is {label_method(nearest)}: {gaps[nearest]}"
    if lost:
        text += "; fails against " + ", ".join(label_method(name) for name in lost)
    has_no_error = any(gap.error is None for gap in gaps.values())
    met = None if has_no_error and strict else not lost
    return Verdict(f"{courses} courses, {kind} sites: {target}", met, text)


def _judge_first_patient(drawn: Board) -> Iterator[Verdict]:
    gaps = compare_methods(drawn, CHOSEN, BASE_RATE)
    for kind in SITE_KINDS:
        if gap := gaps.get((0, kind)):
            aim = f"0 courses, {kind} sites: not worse than the published base rate"
            yield Verdict(aim, gap.mean <= 0, str(gap))


def _judge_coverage(drawn: Board) -> Iterator[Verdict]:
    low, high = _COVERAGE
    shares = drawn[drawn["method"] == CHOSEN].groupby("place")[list(COVERAGES)].mean()
    for kind, means in shares.iterrows():
        for name, covered in means.dropna().items():
            third = name.removeprefix("coverage").removeprefix("_")
            group = f", {third} third of effective sample size" if third else ""
            aim = f"80% interval, {kind} sites{group}: holds the truth in {low} to {high}"
            yield Verdict(aim, bool(low <= covered <= high), f"{covered:.3f}")


def _judge_null(null: Board) -> Iterator[Verdict]:
    known = null[null["place"] == "known"]
    aucs = known[known["method"] == CHOSEN].groupby("courses")["auc"].mean()
    gaps = compare_methods(known, CHOSEN, BASE_RATE)
    for courses, auc in aucs.dropna().items():
        met = bool(_NULL_AUC[0] <= auc <= _NULL_AUC[1])
        yield Verdict(f"null world, {courses} courses: AUC 0.50 ± 0.02", met, f"{auc:.3f}")
        gap = gaps.get((courses, "known"))
        if gap is not None and courses in _MAX_NULL_EXCESS:
            most = _MAX_NULL_EXCESS[courses]
            aim = f"null world, {courses} courses: log loss over the base rate at most {most}"
            yield Verdict(aim, gap.mean <= most, str(gap))
