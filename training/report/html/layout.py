"""What a page is made of: figures and tables, as values that the templates draw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

Cell = str | Markup


@dataclass(frozen=True)
class HtmlTable:
    """A table; the first cell of each row names the row.

    Parameters
    ----------
    wordy
        Whether its cells are sentences: these wrap, numbers do not.
    """

    caption: Cell
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    wordy: bool = False


@dataclass(frozen=True)
class HtmlFigure:
    """One figure of the report.

    Parameters
    ----------
    name
        Its anchor.
    heading
        The question it answers.
    caption
        How to read it, or why it was not drawn.
    drawings
        Empty if it was not drawn.
    """

    name: str
    heading: str
    caption: Markup
    drawings: tuple[Markup, ...] = ()
    tables: tuple[HtmlTable, ...] = ()


def make_html_table(
    caption: Cell, head: Sequence[Cell], rows: Iterable[Sequence[Cell]], wordy: bool = False
) -> HtmlTable:
    """Make a table from rows of any kind."""
    return HtmlTable(caption, tuple(head), tuple(tuple(row) for row in rows), wordy)
