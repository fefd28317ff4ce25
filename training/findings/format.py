"""Tables and numbers as text, alike in every report."""

from features.model.card import Measure


def format_measure(found: Measure, digits: int = 3) -> str:
    """Format a measure with its interval.

    Examples
    --------
    >>> format_measure(Measure(value=0.6512, low=0.6, high=0.7))
    '0.651 (0.600 to 0.700)'
    >>> format_measure(Measure(value=None))
    '-'
    >>> format_measure(Measure(value=0.6512))
    '0.651'
    """
    if found.value is None:
        return "-"
    value = f"{found.value:.{digits}f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def format_table(rows: list[list[str]]) -> str:
    """Format rows, the heading first, as a Markdown table that also reads well as text."""
    head = rows[0]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def format_number(value: float | None) -> str:
    """Format a number with four digits at the most behind the point.

    Examples
    --------
    >>> format_number(0.7), format_number(-0.00421), format_number(1200), format_number(-1e-9)
    ('0.7', '-0.0042', '1200', '0')
    """
    if value is None:
        return "-"
    return f"{round(value, 4) + 0:.4f}".rstrip("0").rstrip(".")  # plus 0: never -0


def format_bounds(low: float | None, high: float | None) -> str:
    """Format what a number must lie between.

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
