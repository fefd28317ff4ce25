"""Verdicts: what was aimed at, and whether it was met; each states its figures."""

from collections.abc import Iterator
from dataclasses import dataclass

from experiments.benchmarks.methods.methods import BASE_RATE, CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.summary import PLACES, Board, Gap, average, compare
from experiments.benchmarks.scores import THIRDS

COVERED = (0.75, 0.85)
# Up to so many courses, better means beyond two standard errors; above, not worse.
CLEAR_UP_TO = 1000
NULL_AUC = (0.48, 0.52)
NULL_EXCESS = {250: 0.004, 4000: 0.001}


@dataclass(frozen=True)
class Verdict:
    """One aim.

    Parameters
    ----------
    met
        None where these results cannot tell.
    """

    aim: str
    met: bool | None
    found: str

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        return {True: "met", False: "NOT MET", None: "cannot tell"}[self.met]


def judge(board: Board) -> list[Verdict]:
    """Judge every aim that these results are about."""
    return [
        *judge_peers(board),
        *judge_start(board),
        *judge_coverage(board),
        *judge_null(board),
    ]


def judge_peers(board: Board) -> Iterator[Verdict]:
    """Judge whether the chosen model is better than every peer, size by size."""
    peers = [name for name in board.methods if name in PEERS]
    for place in PLACES:
        for courses in board.sizes:
            gaps = {name: board.compare(CHOSEN, name, courses, place) for name in peers}
            found = {name: gap for name, gap in gaps.items() if gap is not None}
            if found:
                yield judge_gaps(found, courses, place)


def judge_gaps(gaps: dict[str, Gap], courses: int, place: str) -> Verdict:
    """Judge the differences to all peers at one size and place."""
    strict = courses <= CLEAR_UP_TO
    wanted = (
        "better than every peer beyond two standard errors" if strict else "not worse than any peer"
    )
    lost = [name for name, gap in gaps.items() if not (gap.is_clear if strict else gap.mean <= 0)]
    nearest = max(gaps, key=lambda name: gaps[name].mean)
    text = f"nearest is {label_method(nearest)}: {show_gap(gaps[nearest])}"
    if lost:
        text += "; fails against " + ", ".join(label_method(name) for name in lost)
    alone = any(gap.error is None for gap in gaps.values())
    met = None if alone and strict else not lost
    return Verdict(f"{courses} courses, {place} sites: {wanted}", met, text)


def judge_start(board: Board) -> Iterator[Verdict]:
    """Judge whether nothing is lost to the published base rate before any course."""
    for place in PLACES:
        if gap := board.compare(CHOSEN, BASE_RATE, 0, place):
            aim = f"0 courses, {place} sites: not worse than the published base rate"
            yield Verdict(aim, gap.mean <= 0, show_gap(gap))


def judge_coverage(board: Board) -> Iterator[Verdict]:
    """Judge whether 80 % intervals hold the true probability as often, over all sizes together."""
    names = {"": "coverage"}
    names |= {f", {one} third of effective sample size": f"coverage_{one}" for one in THIRDS}
    results = [one for n in board.sizes for one in board.list_results(CHOSEN, n)]
    for place in PLACES:
        for group, name in names.items():
            covered = average(results, place, name)
            if covered is not None:
                aim = f"80 % interval, {place} sites{group}: holds the truth in .75 to .85"
                met = COVERED[0] <= covered <= COVERED[1]
                yield Verdict(aim, met, f"{covered:.3f}")


def judge_null(board: Board) -> Iterator[Verdict]:
    """Judge what is made of nothing, in worlds where nothing tells who will respond."""
    for courses in sorted({courses for _, courses in board.null}):
        results = list(board.null.get((CHOSEN, courses), {}).values())
        gap = compare(board.null, CHOSEN, BASE_RATE, courses, "known")
        auc = average(results, "known", "auc")
        if auc is not None:
            met = NULL_AUC[0] <= auc <= NULL_AUC[1]
            yield Verdict(f"null world, {courses} courses: AUC .50 ± .02", met, f"{auc:.3f}")
        if gap is not None and courses in NULL_EXCESS:
            most = NULL_EXCESS[courses]
            aim = f"null world, {courses} courses: log loss over the base rate at most {most}"
            yield Verdict(aim, gap.mean <= most, show_gap(gap))


def show_gap(gap: Gap) -> str:
    """Show a difference with its standard error."""
    error = "one world only" if gap.error is None else f"standard error {gap.error:.4f}"
    return f"{gap.mean:+.4f} ({error})"
