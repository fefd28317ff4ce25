"""Verdicts on models; each states its figures."""

from collections.abc import Iterator, Mapping

from experiments.benchmarks.methods.methods import BASE_RATE, CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.summary import (
    COVERAGES,
    NULL,
    SITE_KINDS,
    Board,
    Gap,
    compare_methods,
    select_drawn,
)
from experiments.benchmarks.report import Verdict

# Around the 0.80 that the intervals promise.
_COVERAGE = (0.75, 0.85)
# Up to this number of courses, better means beyond two standard errors; above, not worse.
_CLEAR_UP_TO = 1000
# In a world without effects the true AUC is 0.5; this allows for the noise of the tests.
_NULL_AUC = (0.48, 0.52)
_MAX_NULL_EXCESS = {250: 0.004, 4000: 0.001}


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
