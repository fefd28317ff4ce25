"""Verdicts on models; each states its figures."""

from collections.abc import Iterator, Mapping

from experiments.benchmarks.methods.methods import BASE_RATE, CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.summary import (
    SITE_KINDS,
    Board,
    Gap,
    average_score,
    compare_methods,
)
from experiments.benchmarks.report import Verdict
from experiments.benchmarks.scores import THIRDS

# Around the 0.80 that the intervals promise.
_COVERAGE = (0.75, 0.85)
# Up to this number of courses, better means beyond two standard errors; above, not worse.
_CLEAR_UP_TO = 1000
# In a world without effects the true AUC is 0.5; this allows for the noise of the tests.
_NULL_AUC = (0.48, 0.52)
_MAX_NULL_EXCESS = {250: 0.004, 4000: 0.001}


def judge_models(board: Board) -> list[Verdict]:
    """Judge every target that these results are about."""
    return [
        *_judge_peers(board),
        *_judge_first_patient(board),
        *_judge_coverage(board),
        *_judge_null(board),
    ]


def _judge_peers(board: Board) -> Iterator[Verdict]:
    peers = [name for name in board.methods if name in PEERS]
    for kind in SITE_KINDS:
        for courses in board.sizes:
            compared = {
                name: compare_methods(board.drawn, CHOSEN, name, courses, kind) for name in peers
            }
            gaps = {name: gap for name, gap in compared.items() if gap is not None}
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


def _judge_first_patient(board: Board) -> Iterator[Verdict]:
    for kind in SITE_KINDS:
        if gap := compare_methods(board.drawn, CHOSEN, BASE_RATE, 0, kind):
            aim = f"0 courses, {kind} sites: not worse than the published base rate"
            yield Verdict(aim, gap.mean <= 0, str(gap))


def _judge_coverage(board: Board) -> Iterator[Verdict]:
    groups = {"": "coverage"}
    groups |= {f", {third} third of effective sample size": f"coverage_{third}" for third in THIRDS}
    results = [result for n in board.sizes for result in board.list_results(CHOSEN, n)]
    for kind in SITE_KINDS:
        for group, name in groups.items():
            covered = average_score(results, kind, name)
            if covered is not None:
                low, high = _COVERAGE
                aim = f"80% interval, {kind} sites{group}: holds the truth in {low} to {high}"
                yield Verdict(aim, low <= covered <= high, f"{covered:.3f}")


def _judge_null(board: Board) -> Iterator[Verdict]:
    for courses in sorted({courses for _, courses in board.null}):
        results = list(board.null.get((CHOSEN, courses), {}).values())
        gap = compare_methods(board.null, CHOSEN, BASE_RATE, courses, "known")
        auc = average_score(results, "known", "auc")
        if auc is not None:
            met = _NULL_AUC[0] <= auc <= _NULL_AUC[1]
            yield Verdict(f"null world, {courses} courses: AUC 0.50 ± 0.02", met, f"{auc:.3f}")
        if gap is not None and courses in _MAX_NULL_EXCESS:
            most = _MAX_NULL_EXCESS[courses]
            aim = f"null world, {courses} courses: log loss over the base rate at most {most}"
            yield Verdict(aim, gap.mean <= most, str(gap))
