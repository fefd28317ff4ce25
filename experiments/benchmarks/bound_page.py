"""The page of the bound: a table, and which targets no method could reach."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.bound import OURS, Request
from experiments.benchmarks.bound_prior import compare_priors
from experiments.benchmarks.methods import BASE_RATE
from experiments.benchmarks.results import Result
from experiments.benchmarks.summary import PLACES
from experiments.reference import format_table
from features.errors import KetamineResponseError
from features.files import write_bytes_whole

PAGE = Path(__file__).parent.parent.parent / "docs" / "benchmarks" / "bound.md"
BEGIN = "<!-- Written by `python -m experiments benchmark bound --docs`: begin -->"
END = "<!-- end -->"
# Hoped for, as shares of the attainable gain, by number of courses: known and unseen sites.
TARGETS = {60: (0.35, 0.44), 250: (0.57, 0.60), 1000: (0.80, 0.76), 4000: (0.90, 0.85)}
# Below this many courses the normal approximation about the truth does not hold.
TOLD_FROM = 250
LABELS = {
    "ideal": "ideal",
    "expected": "he expects",
    "from_truth": "started at the truth",
    "checked": "importance sampling",
    "told": "told the structure",
    OURS: "`evidence_prior`",
    "told_constants": "told the constants",
    "told_signs": "and the signs",
}


@dataclass(frozen=True)
class Share:
    """A share of the attainable gain.

    Parameters
    ----------
    error
        Standard error over worlds, by leaving out one at a time; None with a single one.
    """

    courses: int
    place: str
    kind: str
    worlds: int
    share: float
    error: float | None


def list_shares(rows: Sequence[Result]) -> list[Share]:
    """Summarise what was found, by number of courses, place and kind."""
    sizes = sorted({row["courses"] for row in rows})
    shares = []
    for courses in sizes:
        for place in PLACES:
            for kind in LABELS:
                found = [
                    row[place] for row in rows if row["courses"] == courses and kind in row[place]
                ]
                if found and (kind != "told" or courses >= TOLD_FROM):
                    shares.append(Share(courses, place, kind, len(found), *share(found, kind)))
    return shares


def share(found: Sequence[Result], kind: str) -> tuple[float, float | None]:
    """Compute a ratio of means over worlds, and its error by the jackknife.

    Examples
    --------
    >>> world = {"base_rate": 0.7, "attainable": 0.6, "ideal": 0.65}
    >>> [round(number, 6) for number in share([world, world], "ideal")]
    [0.5, 0.0]
    """
    gained = np.array([one[BASE_RATE] - one[kind] for one in found])
    gain = np.array([one[BASE_RATE] - one["attainable"] for one in found])
    whole, count = float(gained.sum() / gain.sum()), len(found)
    if count == 1:
        return whole, None
    without = (gained.sum() - gained) / (gain.sum() - gain)
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    return whole, float(error)


def list_gaps(rows: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """List by how much the ideal statistician is better than ours in log loss, paired by world."""
    for courses in sorted({row["courses"] for row in rows}):
        for place in PLACES:
            gaps = [
                row[place]["ideal"] - row[place][OURS]
                for row in rows
                if row["courses"] == courses and "ideal" in row[place]
            ]
            if len(gaps) > 1:
                error = float(np.std(gaps, ddof=1) / np.sqrt(len(gaps)))
                mean = float(np.mean(gaps))
                yield {"courses": courses, "place": place, "mean": mean, "error": error}


def judge(shares: Sequence[Share]) -> Iterator[dict[str, Any]]:
    """Judge each target by what is known from below and from above of the best that can be."""
    for courses, targets in TARGETS.items():
        for place, target in zip(PLACES, targets, strict=True):
            found = {
                one.kind: one for one in shares if (one.courses, one.place) == (courses, place)
            }
            if found:
                yield {"courses": courses, "place": place, "target": target} | rule(found, target)


def get_share(one: Share) -> float:
    """Return the share itself, to find the best by."""
    return one.share


def rule(found: dict[str, Share], target: float) -> dict[str, str]:
    """Rule on one target.

    What the ideal statistician or ours reached can be reached. From above is what the former
    reached, or one who is told more, whichever is more, with two standard errors.
    """
    best = max((found[kind] for kind in (OURS, "ideal") if kind in found), key=get_share)
    above = [one for kind, one in found.items() if kind in ("ideal", "told")]
    if best.share >= target:
        every = max(one.worlds for one in found.values())
        few = f" in {best.worlds} worlds, the others not tried"
        return {"verdict": "was reached" + (few if best.worlds < every else "")}
    if all(one.share + 2 * (one.error or 0) < target for one in above):
        return {"verdict": "OUT OF REACH of any method"}
    if all(one.share < target for one in above):
        return {"verdict": "above the bound, within two standard errors of it"}
    return {"verdict": "between what was reached and the bound"}


def describe(rows: Sequence[Result], request: Request) -> str:
    """Describe the bound as Markdown."""
    shares = list_shares(rows)
    kinds = list(LABELS)
    heading = ["courses", "sites", *LABELS.values(), "hoped for"]
    table = []
    for courses in sorted({one.courses for one in shares}):
        for place, target in zip(PLACES, TARGETS.get(courses, (None, None)), strict=True):
            found = {o.kind: o for o in shares if (o.courses, o.place) == (courses, place)}
            cells = [show(found.get(kind), request.worlds) for kind in kinds]
            hoped = "" if target is None else f"{target:.2f}"
            table.append([f"{courses:,}", place, *cells, hoped])
    ruled = [
        [f"{one['courses']:,}", one["place"], f"{one['target']:.2f}", one["verdict"]]
        for one in judge(shares)
    ]
    gaps = [
        [f"{one['courses']:,}", one["place"], f"{one['mean']:+.4f} ({one['error']:.4f})"]
        for one in list_gaps(rows)
    ]
    checks = [row["effective"] for row in rows if row["effective"]]
    worth = f"{np.median(checks):.0f} (at least {min(checks):.0f})" if checks else "none"
    parts = [
        f"SIMULATED: {request.worlds} drawn worlds; shares of the attainable gain in log loss, "
        "with standard errors over worlds; in square brackets the number of worlds where fewer.",
        format_table(heading, table),
        f"The {request.effort.checked:,} worlds weighed by importance sampling are worth {worth}.",
        "### Targets",
        format_table(["courses", "sites", "hoped for", "verdict"], ruled),
        "### Ideal less `evidence_prior`",
        "Difference in log loss, paired by world, with its standard error.",
        format_table(["courses", "sites", "difference"], gaps),
        "### What holds in drawn worlds, and what `evidence_prior` takes to hold",
        "Mean, and standard deviation in brackets.",
        format_table(["quantity", "drawn worlds", "`evidence_prior`"], list(compare_priors())),
    ]
    return "\n\n".join(parts)


def show(found: Share | None, worlds: int) -> str:
    """Show a share with its error."""
    if found is None:
        return ""
    error = "" if found.error is None else f" ± {found.error:.3f}"
    return f"{found.share:.3f}{error}" + (f" [{found.worlds}]" if found.worlds < worlds else "")


def collect(rows: Sequence[Result], request: Request) -> dict[str, Any]:
    """Collect the bound for JSON."""
    shares = list_shares(rows)
    return {
        "data": "SIMULATED",
        "request": asdict(request),
        "shares": [asdict(one) for one in shares],
        "targets": list(judge(shares)),
        "differences": list(list_gaps(rows)),
    }


def write_page(text: str) -> None:
    """Write the text between the page's marks.

    Raises
    ------
    KetamineResponseError
        If the page has no marks.
    """
    page = PAGE.read_text("utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise KetamineResponseError(f"{PAGE.name} has lost the marks that results go between")
    write_bytes_whole(PAGE, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}".encode())
