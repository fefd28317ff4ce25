"""What reports are made of: tables and figures, as values that the templates render."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from training.findings.format import format_table

# Markup is shown as it is, any other text escaped.
Cell = str | Markup


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row names the row."""

    caption: Cell
    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    # Whether its cells are sentences: these wrap, numbers do not.
    wordy: bool = False
    # Explain the names of the rows, in the HTML report alone.
    hints: Sequence[str] = ()


class Figure(NamedTuple):
    """A figure: its drawings in SVG, and its numbers; without drawings if it was not drawn."""

    drawings: tuple[Markup, ...] = ()
    tables: tuple[Table | None, ...] = ()


def make_table(
    caption: Cell,
    head: Sequence[Cell],
    rows: Iterable[Sequence[Cell]],
    wordy: bool = False,
    hints: Sequence[str] = (),
) -> Table | None:
    """Make a table from rows of any kind; None if there are none."""
    listed = list(rows)
    return Table(caption, head, listed, wordy, hints) if listed else None


def write_table(table: Table) -> str:
    """Write a table in Markdown."""
    return format_table([[_strip(cell) for cell in row] for row in (table.head, *table.rows)])


def _strip(cell: Cell) -> str:
    return cell.striptags() if isinstance(cell, Markup) else cell
