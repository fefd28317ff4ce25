"""The report on validation: how far its figures are from the truth."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.report import Report, Section, format_table
from experiments.benchmarks.results import Result
from experiments.benchmarks.validation.validation import AT_SITES, RECORDED, ValidationRequest
from features.base.arrays import Numbers

_PAGE = "benchmarks/validation.md"
VALIDATION_TYPES = ("apparent", "corrected", RECORDED, "nested")
_LABELS = {
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "ratio": "observed / expected",
    "intercept": "intercept",
    "slope": "slope",
}
_MEASURED = ("auc", "log_loss", "brier", "slope")


def report_validation(
    results: Sequence[Result], request: ValidationRequest, sites_only: bool = False
) -> Report:
    """Report on each type of validation, and on new sites."""
    sections = [_report_sites(results, request)]
    if not sites_only:
        sections.append(_report_errors(results, request))
    data = {
        "data": "SIMULATED",
        "request": vars(request),
        "worlds": [dict(result) for result in results],
    }
    return Report(sections, data)


def _report_errors(results: Sequence[Result], request: ValidationRequest) -> Section:
    heading = ["validation", "measure", "mean error", "typical error", "interval holds it"]
    blocks = [
        f"SIMULATED: {len(results)} drawn worlds, {request.courses:,} training courses in each, "
        f"{request.bootstraps} bootstrap refits of the whole procedure. The truth is that of "
        f"{request.tested:,} new patients at the same sites.",
        "The report's figure minus the truth, averaged over worlds, with its standard error; and "
        "how often its 95% interval holds the truth:",
        format_table(heading, _list_errors(results)),
    ]
    return Section("benchmark validation", _PAGE, blocks)


def _report_sites(results: Sequence[Result], request: ValidationRequest) -> Section:
    heading = ["measure", "holds it", "truth below", "truth above", "width", "worlds with one"]
    blocks = [
        f"SIMULATED: {len(results)} drawn worlds, {request.courses:,} training courses in each. "
        f"The truth is that of {request.tested:,} patients at {request.new_sites} new sites.",
        "The 95% prediction interval for a new site, by leave-one-site-out validation: how often "
        "it holds what is true at a new site, with the standard error over worlds; how often the "
        "truth lies below and above it; and the interval's width, median over worlds:",
        format_table(heading, _list_coverage(results)),
    ]
    return Section("benchmark validation --sites-only", _PAGE, blocks)


def _list_errors(results: Sequence[Result]) -> Iterator[list[str]]:
    for validation_type in VALIDATION_TYPES:
        for measure in _MEASURED:
            pairs = pair_with_truth(results, validation_type, measure)
            errors = np.array([limits[0] - truth for limits, truth in pairs])
            error = errors.std(ddof=1) / np.sqrt(len(errors))
            held = [low <= truth <= high for (_, low, high), truth in pairs if low is not None]
            yield [
                validation_type,
                _LABELS[measure],
                # Adding 0 turns a rounded -0.0 into 0.0.
                f"{round(errors.mean(), 4) + 0:+.4f} ({error:.4f})",
                f"{np.sqrt((errors**2).mean()):.3f}",
                f"{100 * np.mean(held):.0f}% of {len(held)}",
            ]


def pair_with_truth(
    results: Sequence[Result], validation_type: str, measure: str
) -> list[tuple[Any, float]]:
    """Pair each world's figure and interval limits with the truth, if both are defined."""
    pairs = [
        (result["found"][validation_type].get(measure), result["true"][measure])
        for result in results
    ]
    return [
        (limits, truth)
        for limits, truth in pairs
        if limits is not None and limits[0] is not None and truth is not None
    ]


def _list_coverage(results: Sequence[Result]) -> Iterator[list[str]]:
    for measure in AT_SITES:
        shares = list_site_shares(results, measure)
        if len(shares):
            error = shares[:, 0].std(ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else np.nan
            held, below, above, _ = 100 * shares.mean(axis=0)
            yield [
                _LABELS[measure],
                f"{held:.1f}% ({100 * error:.1f})",
                f"{below:.1f}%",
                f"{above:.1f}%",
                f"{np.median(shares[:, 3]):.2f}",
                str(len(shares)),
            ]


def list_site_shares(results: Sequence[Result], measure: str) -> Numbers:
    """List the shares of new sites that each world's interval holds, and its width.

    Returns
    -------
    ndarray
        ``[worlds, 4]``: within, below, above; width. Worlds without an interval are left out.
    """
    shares = []
    for result in results:
        _, low, high = result["next_site"].get(measure, [None] * 3)
        sites = [site[measure] for site in result["new_sites"]]
        true = np.array([value for value in sites if value is not None])
        if low is not None and len(true):
            below, above = np.mean(true < low), np.mean(true > high)
            shares.append([1 - below - above, below, above, high - low])
    return np.array(shares, dtype=np.float64).reshape(-1, 4)
