"""A figure: drawings, how to read them, and their numbers."""

from dataclasses import dataclass

from markupsafe import Markup

from training.report.html.table import Table


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Parameters
    ----------
    name
        Its anchor.
    heading
        What it asks.
    drawings
        None where it was not made.
    caption
        How to read it; why there is none, where there is none.
    """

    name: str
    heading: str
    caption: Markup
    drawings: tuple[Markup, ...] = ()
    tables: tuple[Table, ...] = ()
