"""The page on validation: how far its figures are from the truth, and what they cost."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.models.page import DOCS, fill_page
from experiments.benchmarks.results import Result
from experiments.benchmarks.validation.cost import Cost
from experiments.benchmarks.validation.validation import AT_SITES, RECORDED, Request
from experiments.docs.reference import format_table
from features.base.arrays import Numbers

PAGE = DOCS / "benchmarks" / "validation.md"
BEGIN = "<!-- Written by `python -m experiments benchmark validation --docs`: begin -->"
BEGIN_SITES = (
    "<!-- Written by `python -m experiments benchmark validation --sites-only --docs`: begin -->"
)
WAYS = ("apparent", "corrected", RECORDED, "nested")
LABELS = {
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "ratio": "observed / expected",
    "intercept": "intercept",
    "slope": "slope",
}
MEASURED = ("auc", "log_loss", "brier", "slope")


def describe(found: Sequence[Result], costs: Sequence[Cost], request: Request) -> str:
    """Describe what was found of each way of testing, and what it costs, as tables."""
    parts = [
        f"SIMULATED: {len(found)} drawn worlds, {request.courses:,} courses to learn from in each, "
        f"{request.bootstraps} bootstrap re-developments of the whole procedure. The truth is that "
        f"of {request.tested:,} new patients at the same sites.",
        "",
        "What the report says less the truth, averaged over worlds, with its standard error; and "
        "how often its 95 % interval holds the truth:",
        "",
        format_table(
            ["way", "measure", "mean error", "typical error", "interval holds it"],
            list(list_errors(found)),
        ),
    ]
    if costs:
        parts += ["", *describe_costs(costs)]
    return "\n".join(parts)


def describe_sites(found: Sequence[Result], request: Request) -> str:
    """Describe what was found of the next site as a table."""
    return "\n".join(
        [
            f"SIMULATED: {len(found)} drawn worlds, {request.courses:,} courses to learn from in "
            f"each. The truth is that of {request.tested:,} patients at {request.new_sites} new "
            "sites.",
            "",
            "The 95 % prediction interval for the next site, from sites held out one by one: how "
            "often what is true at a new site lies in it, with the standard error over worlds; "
            "how often it lies below and above; and how wide the interval is, the median world's:",
            "",
            format_table(
                ["measure", "holds it", "truth below", "truth above", "width", "worlds with one"],
                list(list_coverage(found)),
            ),
        ]
    )


def list_errors(found: Sequence[Result]) -> Iterator[list[str]]:
    """List the errors of each way of testing, by measure."""
    for way in WAYS:
        for measure in MEASURED:
            pairs = list_pairs(found, way, measure)
            errors = np.array([told[0] - truth for told, truth in pairs])
            error = errors.std(ddof=1) / np.sqrt(len(errors))
            held = [told[1] <= truth <= told[2] for told, truth in pairs if told[1] is not None]
            yield [
                way,
                LABELS[measure],
                f"{round(errors.mean(), 4) + 0:+.4f} ({error:.4f})",
                f"{np.sqrt((errors**2).mean()):.3f}",
                f"{100 * np.mean(held):.0f} % of {len(held)}",
            ]


def list_pairs(found: Sequence[Result], way: str, measure: str) -> list[tuple[Any, float]]:
    """List what was said, with its interval, and what is true, where both are defined."""
    told = [(one["found"][way].get(measure), one["true"][measure]) for one in found]
    return [
        (said, truth)
        for said, truth in told
        if said is not None and said[0] is not None and truth is not None
    ]


def list_coverage(found: Sequence[Result]) -> Iterator[list[str]]:
    """List how often the prediction interval for the next site holds what is true there."""
    for measure in AT_SITES:
        shares = list_shares(found, measure)
        if len(shares):
            error = shares[:, 0].std(ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else np.nan
            held, below, above, _ = 100 * shares.mean(axis=0)
            yield [
                LABELS[measure],
                f"{held:.1f} % ({100 * error:.1f})",
                f"{below:.1f} %",
                f"{above:.1f} %",
                f"{np.median(shares[:, 3]):.2f}",
                str(len(shares)),
            ]


def list_shares(found: Sequence[Result], measure: str) -> Numbers:
    """List of each world which shares of new sites its interval holds, and how wide it is.

    Returns
    -------
    ndarray
        ``[worlds, 4]``: within, below, above; width. Worlds without an interval are left out.
    """
    shares = []
    for one in found:
        _, low, high = one["next_site"].get(measure, [None] * 3)
        true = np.array([site[measure] for site in one["new_sites"] if site[measure] is not None])
        if low is not None and len(true):
            below, above = np.mean(true < low), np.mean(true > high)
            shares.append([1 - below - above, below, above, high - low])
    return np.array(shares, dtype=np.float64).reshape(-1, 4)


def describe_costs(costs: Sequence[Cost]) -> list[str]:
    """Describe what a whole run costs."""
    rows = [
        [
            one.profile,
            str(one.bootstraps),
            f"{one.seconds:.0f}",
            f"{one.fit:.1f}",
            f"{one.seconds / one.fit:.0f}",
        ]
        for one in costs
    ]
    some = costs[0]
    return [
        f"What `fit` costs with its report, {some.courses:,} courses at {some.sites} sites, "
        f"{some.candidates} candidates, {some.jobs} processes:",
        "",
        format_table(
            ["profile", "re-developments", "seconds", "one fit of the chosen, s", "times"], rows
        ),
    ]


def collect(found: Sequence[Result], costs: Sequence[Cost], request: Request) -> dict[str, Any]:
    """Collect what was found, for JSON."""
    return {
        "data": "SIMULATED",
        "request": vars(request),
        "worlds": [dict(one) for one in found],
        "costs": [vars(one) for one in costs],
    }


def write_page(text: str, mark: str) -> None:
    """Put tables into the page, after their mark."""
    fill_page(PAGE, mark, text)
