"""The page of the model benchmark: Markdown tables and verdicts, from the results alone."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.benchmarks.methods.methods import CHOSEN, label_method
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.figure import write_figure
from experiments.benchmarks.models.models import Request
from experiments.benchmarks.models.summary import PLACES, Board, Row
from experiments.benchmarks.models.verdicts import judge, show_gap
from experiments.docs.reference import format_table
from features.base.errors import KetamineResponseError
from features.base.files import write_bytes_whole

DOCS = Path(__file__).parents[3] / "docs"
PAGE, FIGURE = DOCS / "benchmarks" / "models.md", DOCS / "images" / "benchmark-models.png"
BEGIN = "<!-- Written by `python -m experiments benchmark models --docs`: begin -->"
END = "<!-- end -->"
HEADING = ["method", "log loss", "share of gain", "AUC", "slope", "fit, s", "80 % interval holds"]
MEAN_SITE = "holds the mean over sites"


def describe(board: Board, request: Request, skipped: Mapping[str, str]) -> str:
    """Describe the results as Markdown."""
    worlds = f"{request.worlds} drawn worlds, and the null world {request.null_cohorts} times"
    plan = request.plan
    parts = [
        f"SIMULATED: {worlds}; tested on {plan.tested:,} courses at the worlds' own sites and "
        f"{plan.tested:,} at {plan.new_sites} new sites of each.",
        *list_skipped(skipped),
        "### Verdicts",
        format_table(
            ["aim", "verdict", "found"],
            [[one.aim, one.word, one.found] for one in judge(board)],
        ),
        *list_tables(board),
        "### Difference in log loss to each peer, paired by world",
        f"Of {label_method(CHOSEN)}; below 0 it is the better one.",
        format_table(["peer", "courses", *PLACES], list(list_gaps(board))),
    ]
    return "\n\n".join(parts)


def list_skipped(skipped: Mapping[str, str]) -> list[str]:
    """Say loudly what was not compared."""
    return [f"**NOT COMPARED**: {label_method(name)} ({why})" for name, why in skipped.items()]


def list_tables(board: Board) -> Iterator[str]:
    """List a table for each place and size."""
    rows = board.list_rows()
    for place in PLACES:
        for courses in board.sizes:
            chosen = [row for row in rows if (row.place, row.courses) == (place, courses)]
            yield f"### {courses:,} courses, {place} sites"
            # At known sites the two are the same.
            width = len(HEADING) + (place != "known")
            cells = [describe_row(row)[:width] for row in chosen]
            yield format_table([*HEADING, MEAN_SITE][:width], cells)


def describe_row(row: Row) -> list[str]:
    """Describe a method's row; the chosen one with what stood behind it."""
    label = label_method(row.method)
    if row.method == CHOSEN:
        times = ", ".join(f"{name} {count}" for name, count in row.picked.items())
        label = f"**{label}** ({times})"
    return [
        label,
        f"{row.log_loss:.4f}",
        show(row.share, ".0%"),
        f"{row.auc:.3f}",
        show(row.slope, ".2f"),
        f"{row.seconds:.1f}",
        show(row.coverage, ".3f"),
        show(row.coverage_of_mean_site, ".3f"),
    ]


def show(value: float | None, form: str) -> str:
    """Show a number, or that there is none."""
    return "–" if value is None else format(value, form)  # noqa: RUF001


def list_gaps(board: Board) -> Iterator[list[str]]:
    """List the differences to every peer at every size."""
    for name in (name for name in board.methods if name in PEERS):
        for courses in board.sizes:
            gaps = [board.compare(CHOSEN, name, courses, place) for place in PLACES]
            if any(gaps):
                shown = [show_gap(gap) if gap else "" for gap in gaps]
                yield [label_method(name), f"{courses:,}", *shown]


def collect(board: Board, request: Request, skipped: Mapping[str, str]) -> dict[str, Any]:
    """Collect the results for JSON."""
    return {
        "data": "SIMULATED",
        "worlds": request.worlds,
        "null_cohorts": request.null_cohorts,
        "sizes": list(request.sizes),
        "plan": asdict(request.plan),
        "skipped": dict(skipped),
        "rows": [asdict(row) for row in board.list_rows()],
        "differences": list(list_differences(board)),
        "verdicts": [asdict(one) | {"verdict": one.word} for one in judge(board)],
    }


def list_differences(board: Board) -> Iterator[dict[str, Any]]:
    """List the differences of the chosen model to every other method."""
    for name in (name for name in board.methods if name != CHOSEN):
        for courses in board.sizes:
            for place in PLACES:
                if gap := board.compare(CHOSEN, name, courses, place):
                    yield {"to": name, "courses": courses, "place": place, **asdict(gap)}


def write_page(text: str, board: Board) -> None:
    """Write the text between the page's marks, and the figure.

    Raises
    ------
    KetamineResponseError
        If the page has no marks.
    """
    image = (
        f"![Share of the attainable gain by number of courses, SIMULATED](../images/{FIGURE.name})"
    )
    fill_page(PAGE, BEGIN, f"{image}\n\n{text}")
    write_figure(board, FIGURE)


def fill_page(path: Path, mark: str, text: str) -> None:
    """Write a text between a page's marks, and leave the rest of the page as it is.

    Raises
    ------
    KetamineResponseError
        If the page has no marks.
    """
    before, begin, rest = path.read_text("utf-8").partition(mark)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise KetamineResponseError(f"{path.name} has lost the marks that results go between")
    write_bytes_whole(path, f"{before}{mark}\n\n{text}\n\n{END}{after}".encode())
