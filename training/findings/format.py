"""Tables and numbers as text, the same in every report."""

from features.model.card import Measure

MINUS = "\u2212"


def format_measure(measure: Measure | None, digits: int = 3) -> str:
    """Format a measure with its interval.

    Examples
    --------
    >>> format_measure(Measure(value=0.6512, low=0.6, high=0.7))
    '0.651 (0.600 to 0.700)'
    >>> format_measure(Measure(value=None)), format_measure(None)
    ('-', '-')
    >>> format_measure(Measure(value=0.6512))
    '0.651'
    """
    if measure is None or measure.value is None:
        return "-"
    value = f"{measure.value:.{digits}f}"
    if measure.low is None or measure.high is None:
        return value
    return f"{value} ({measure.low:.{digits}f} to {measure.high:.{digits}f})"


def format_percent(proportion: float, digits: int = 0) -> str:
    """Format a proportion in percent.

    Examples
    --------
    >>> format_percent(0.58), format_percent(0.5831, 1)
    ('58%', '58.3%')
    """
    return f"{proportion:.{digits}%}"


def format_folds(folds: int, repeats: int) -> str:
    """Name a cross-validation.

    Examples
    --------
    >>> format_folds(5, 1), format_folds(5, 4)
    ('5-fold cross-validation', '5-fold cross-validation (4 repeats)')
    """
    repeated = f" ({repeats} repeats)" if repeats > 1 else ""
    return f"{folds}-fold cross-validation{repeated}"


def format_table(rows: list[list[str]]) -> str:
    """Format rows, the heading first, as a Markdown table that also reads well as text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def format_number(value: float | None) -> str:
    """Format a number with at most four digits after the decimal point.

    Examples
    --------
    >>> format_number(0.7), format_number(-0.00421), format_number(1200), format_number(-1e-9)
    ('0.7', '-0.0042', '1200', '0')
    """
    if value is None:
        return "-"
    return f"{round(value, 4) + 0:.4f}".rstrip("0").rstrip(".")  # plus 0: never -0


def format_bounds(low: float | None, high: float | None) -> str:
    """Format the bounds that a number must lie between.

    Examples
    --------
    >>> format_bounds(0.7, 1.4), format_bounds(20, None), format_bounds(None, -0.01)
    ('0.7 to 1.4', 'at least 20', 'at most -0.01')
    """
    if low is not None and high is not None:
        return f"{format_number(low)} to {format_number(high)}"
    if low is None and high is None:
        return "-"
    return f"at least {format_number(low)}" if high is None else f"at most {format_number(high)}"


def format_rounded(value: float, digits: int = 3, signed: bool = False) -> str:
    """Round a number for a reader, never to a negative zero, with a typographic minus.

    Examples
    --------
    >>> format_rounded(0.65123), format_rounded(-0.0001, 2), format_rounded(1234, 0)
    ('0.651', '0.00', '1,234')
    >>> format_rounded(0.031, 2, signed=True), format_rounded(0.0, 2, signed=True)
    ('+0.03', '0.00')
    """
    # Plus 0 turns -0 into 0: no reader should wonder what -0.00 means.
    rounded = round(value, digits) + 0
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", MINUS)
