"""Sniffing: how a text file is written, as far as its bytes show."""

import codecs
import csv
import io
from collections import Counter

from features.sources.text_table import DELIMITER_NAMES, read_declaration
from features.sources.texts import DECIMAL_COMMA, NUMBER_PATTERN

HEAD_BYTES = 1 << 18
_MAX_LINES = 200
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

Form = dict[str, str | int]


def sniff_text(head: bytes, usual: str) -> Form:
    r"""Find encoding, delimiter and decimal sign from the beginning of a text file.

    Parameters
    ----------
    usual
        The delimiter that the file's ending implies.

    Returns
    -------
    Form
        Keys of a mapping; only those that differ from the default.

    Examples
    --------
    >>> sniff_text("Größe;Gewicht\n1,71;70,5\n1,80;82\n".encode("cp1252"), ",")
    {'encoding': 'windows-1252', 'delimiter': ';', 'decimal': ','}
    """
    encoding = _sniff_encoding(head)
    form: Form = {} if encoding == "utf-8" else {"encoding": encoding}
    # As it is read: decoded first, then by its own first line.
    decoded = head.decode(encoding, "replace").encode()
    start, declared = read_declaration(io.BytesIO(decoded))
    usual, text = declared or usual, decoded[start:].decode()
    lines = io.StringIO(text.rpartition("\n")[0] or text, newline="").readlines()[:_MAX_LINES]
    delimiter = _sniff_delimiter(lines, usual)
    if delimiter != usual:
        form["delimiter"] = delimiter
    if delimiter != "," and _sniff_commas(lines, delimiter):
        form["decimal"] = ","
    return form


def _sniff_encoding(head: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    try:
        # The head may end within a letter.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _sniff_delimiter(lines: list[str], usual: str) -> str:
    def count_even(delimiter: str) -> float:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        width, rows = widths.most_common(1)[0] if widths else (1, 0)
        # Columns that nearly every row has; a delimiter that never occurs makes none.
        return (width - 1) * rows / max(widths.total(), 1)

    best = max((usual, *DELIMITER_NAMES), key=count_even)
    return best if count_even(best) > count_even(usual) else usual


def _sniff_commas(lines: list[str], delimiter: str) -> bool:
    cells = [cell.strip() for row in csv.reader(lines[1:], delimiter=delimiter) for cell in row]
    commas = sum(DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells if "," in cell)
    points = sum(NUMBER_PATTERN.fullmatch(cell) is not None for cell in cells if "." in cell)
    return commas > points
