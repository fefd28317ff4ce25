"""Ways in which exports are damaged on their way: by spreadsheets, editors, transfers and people.

Each takes chance and a table, or a file's bytes, and returns it damaged. `SAME` ones leave every
value where a reader can still find it, or must be refused; of `FEWER` ones courses may be missing,
of `BLANK` ones values may be: what was not sent cannot be known.
"""

import csv
import datetime
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import python_calamine

from experiments.simulator.exports.workbook import write_workbook

SAME, FEWER, BLANK = frozenset[str](), frozenset({"courses"}), frozenset({"values"})
# In a message it would be a value that was quoted.
CANARY = "zebra"
DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)|(\d\d)/(\d\d)/(\d{4})")
COUNTER = re.compile("course|Behandlung|session|record_id|instance", re.IGNORECASE)
NUMBER = re.compile(r"\d+([.,]\d+)?")


@dataclass
class Table:
    """A table as texts; `before` and `after` are the lines around it."""

    header: list[str]
    rows: list[list[str]]
    delimiter: str = ","
    encoding: str = "utf-8"
    before: list[list[str]] = field(default_factory=list)
    after: list[list[str]] = field(default_factory=list)
    ragged: bool = False  # Whether its format shows that a row is short

    def dump(self, **how: Any) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator="\n", **how)
        writer.writerows([*self.before, self.header, *self.rows, *self.after])
        return out.getvalue().encode(self.encoding, "replace")


@dataclass(frozen=True)
class Mangle:
    """One way of damage, and what may be missing after it."""

    name: str
    damage: Callable[[Random, Any], Any]
    tolerated: frozenset[str]


TABLE_MANGLES: list[Mangle] = []
BYTE_MANGLES: list[Mangle] = []


def mangle(mangles: list[Mangle], tolerated: frozenset[str] = SAME) -> Callable[[Any], Any]:
    def register(damage: Callable[[Random, Any], Any]) -> Callable[[Random, Any], Any]:
        mangles.append(Mangle(damage.__name__, damage, tolerated))
        return damage

    return register


def pick_cells(chance: Random, table: Table, pattern: re.Pattern[str], share: float = 0.02) -> Any:
    cells = [
        (row, column)
        for row, cells in enumerate(table.rows)
        for column, text in enumerate(cells)
        if pattern.fullmatch(text)
    ]
    return chance.sample(cells, min(len(cells), max(1, int(share * len(cells)))))


def change_cells(
    chance: Random, table: Table, pattern: str, change: Callable[[str], str], share: float = 0.02
) -> Table:
    for row, column in pick_cells(chance, table, re.compile(pattern), share):
        table.rows[row][column] = change(table.rows[row][column])
    return table


@mangle(TABLE_MANGLES)
def shuffled_columns(chance: Random, table: Table) -> Table:
    order = chance.sample(range(len(table.header)), len(table.header))
    table.header = [table.header[n] for n in order]
    table.rows = [[row[n] for n in order] for row in table.rows]
    return table


@mangle(TABLE_MANGLES)
def shuffled_rows(chance: Random, table: Table) -> Table:
    chance.shuffle(table.rows)
    return table


@mangle(TABLE_MANGLES)
def quoted_everywhere(chance: Random, table: Table) -> bytes:
    return table.dump(quoting=csv.QUOTE_ALL)


@mangle(TABLE_MANGLES)
def repeated_header(chance: Random, table: Table) -> Table:
    table.rows.insert(chance.randrange(len(table.rows)), [*table.header])
    return table


@mangle(TABLE_MANGLES)
def doubled_column_name(chance: Random, table: Table) -> Table:
    one, other = chance.sample(range(len(table.header)), 2)
    table.header[one] = table.header[other]
    return table


@mangle(TABLE_MANGLES, BLANK)
def renamed_column(chance: Random, table: Table) -> Table:
    column = chance.randrange(len(table.header))
    name = table.header[column]
    table.header[column] = chance.choice([name[:-1], name + "_x", name.upper(), f" {name}", ""])
    return table


@mangle(TABLE_MANGLES, BLANK)
def dropped_column(chance: Random, table: Table) -> Table:
    column = chance.randrange(len(table.header))
    for cells in (table.header, *table.rows):
        del cells[column]
    return table


@mangle(TABLE_MANGLES, BLANK)
def merged_columns(chance: Random, table: Table) -> Table:
    column = chance.randrange(len(table.header) - 1)
    for cells in (table.header, *table.rows):
        cells[column : column + 2] = [f"{cells[column]} {cells[column + 1]}".strip()]
    return table


@mangle(TABLE_MANGLES)
def swapped_names(chance: Random, table: Table) -> Table:
    # A column of numbers and one of words: a swap of two alike cannot be detected.
    shares = [
        sum(bool(NUMBER.fullmatch(row[column])) for row in table.rows)
        for column in range(len(table.header))
    ]
    numbers = [column for column, share in enumerate(shares) if share > len(table.rows) // 2]
    words = [
        column
        for column, share in enumerate(shares)
        if not share and all(row[column] for row in table.rows)
    ]
    if numbers and words:
        one, other = chance.choice(numbers), chance.choice(words)
        table.header[one], table.header[other] = table.header[other], table.header[one]
    return table


@mangle(TABLE_MANGLES)
def doubled_rows(chance: Random, table: Table) -> Table:
    for row in chance.sample(table.rows, min(3, len(table.rows))):
        table.rows.insert(chance.randrange(len(table.rows)), [*row])
    return table


@mangle(TABLE_MANGLES)
def contradicting_rows(chance: Random, table: Table) -> Table:
    row = [*chance.choice(table.rows)]
    # Another number of a course, or of a dose, is another course or dose.
    numbers = [
        column
        for column, text in enumerate(row)
        if text.isdecimal() and not COUNTER.search(table.header[column])
    ]
    column = chance.choice(numbers) if numbers else len(row) - 1
    row[column] = {"0": "1", "1": "2", "2": "3"}.get(row[column], "0")
    table.rows.append(row)
    return table


@mangle(TABLE_MANGLES)
def shifted_cells(chance: Random, table: Table) -> Table:
    # From the left: a shift among answers to one form cannot be detected.
    row, column = chance.choice(table.rows), chance.randrange(2)
    row[column:] = ["", *row[column:-1]]
    return table


@mangle(TABLE_MANGLES)
def longer_row(chance: Random, table: Table) -> Table:
    chance.choice(table.rows).insert(chance.randrange(len(table.header)), CANARY)
    return table


@mangle(TABLE_MANGLES)
def shorter_row(chance: Random, table: Table) -> Table:
    if not table.ragged:
        return table
    del chance.choice(table.rows)[chance.randrange(len(table.header))]
    return table


@mangle(TABLE_MANGLES, BLANK | FEWER)
def words_for_missing(chance: Random, table: Table) -> Table:
    words = ["NaN", "NULL", "n/a", "NA", "None", ".", "-", "#N/A", "missing", "nan", " "]
    return change_cells(chance, table, r".+", lambda text: chance.choice(words))


@mangle(TABLE_MANGLES)
def thousands_separators(chance: Random, table: Table) -> Table:
    point = "." if table.delimiter == ";" else ","
    mark = chance.choice([point, " ", "'", "\u00a0", "\u202f"])
    return change_cells(chance, table, r"\d{2}", lambda text: f"1{mark}0{text}")


@mangle(TABLE_MANGLES)
def other_decimals(chance: Random, table: Table) -> Table:
    swap = str.maketrans(".,", ",.")
    return change_cells(chance, table, r"\d+[.,]\d+", lambda text: text.translate(swap), 1.0)


@mangle(TABLE_MANGLES)
def spreadsheet_errors(chance: Random, table: Table) -> Table:
    words = ["#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!"]
    return change_cells(chance, table, r"[\d.,]+", lambda text: chance.choice(words))


@mangle(TABLE_MANGLES)
def dates_in_another_order(chance: Random, table: Table) -> Table:
    form = chance.choice(["{m}/{d}/{y}", "{y}/{d}/{m}", "{d}.{m}.{y}", "{m}-{d}-{y}"])

    def turn(text: str) -> str:
        parts = DATE.fullmatch(text)
        assert parts is not None
        year, month, day = parts.group(1, 2, 3) if parts[1] else parts.group(6, 5, 4)
        return form.format(y=year, m=month, d=day)

    return change_cells(chance, table, DATE.pattern, turn, 1.0)


@mangle(TABLE_MANGLES)
def short_years(chance: Random, table: Table) -> Table:
    return change_cells(
        chance, table, DATE.pattern, lambda text: re.sub(r"\d\d(\d\d)", r"\1", text, count=1), 1.0
    )


@mangle(TABLE_MANGLES)
def dates_as_serial_numbers(chance: Random, table: Table) -> Table:
    return change_cells(
        chance, table, DATE.pattern, lambda text: str(chance.randrange(40_000, 46_000)), 1.0
    )


@mangle(TABLE_MANGLES)
def sums_below(chance: Random, table: Table) -> Table:
    table.rows.append(["Total", *(str(chance.randrange(9999)) for _ in table.header[1:])])
    return table


@mangle(TABLE_MANGLES)
def empty_rows(chance: Random, table: Table) -> Table:
    for _ in range(3):
        table.rows.insert(chance.randrange(len(table.rows)), [""] * len(table.header))
    return table


@mangle(TABLE_MANGLES)
def note_below(chance: Random, table: Table) -> Table:
    table.rows.append([f"Exported by {CANARY}", *[""] * (len(table.header) - 1)])
    return table


@mangle(TABLE_MANGLES)
def title_above(chance: Random, table: Table) -> Table:
    table.before.insert(0, ["Patients of the clinic"])
    return table


@mangle(TABLE_MANGLES)
def spaces_around(chance: Random, table: Table) -> Table:
    return change_cells(chance, table, r".+", lambda text: f" {text}  ", 0.2)


@mangle(TABLE_MANGLES)
def unknown_codes(chance: Random, table: Table) -> Table:
    return change_cells(chance, table, r"[a-zA-Z]\w+|[0-3]", lambda text: CANARY)


@mangle(TABLE_MANGLES)
def impossible_numbers(chance: Random, table: Table) -> Table:
    words = ["-1", "1e400", "99999999999999999999999", "inf", "-0.5", "1e3", "0x1F", "1_000"]
    return change_cells(chance, table, r"\d+", lambda text: chance.choice(words))


@mangle(TABLE_MANGLES)
def letters_for_digits(chance: Random, table: Table) -> Table:
    look = str.maketrans("0125", "Olz5")
    return change_cells(chance, table, r"\d*[012]\d*", lambda text: text.translate(look))


@mangle(TABLE_MANGLES)
def other_digits(chance: Random, table: Table) -> Table:
    zero = chance.choice("\uff10\u0660\u0966")
    return change_cells(
        chance,
        table,
        r"\d+",
        lambda text: "".join(chr(ord(zero) + int(digit)) for digit in text),
    )


@mangle(TABLE_MANGLES)
def other_patient_codes(chance: Random, table: Table) -> Table:
    # Where a patient has many rows; alone, a code is as good as another.
    codes = [text for row in table.rows for text in row if text.startswith("SIM-")]
    if len(codes) < 3 * len(set(codes)):
        return table
    return change_cells(chance, table, r"SIM-.*", str.lower, 0.1)


@mangle(TABLE_MANGLES, FEWER | BLANK)
def patients_left_out(chance: Random, table: Table) -> Table:
    left = set(chance.sample(sorted({row[0] for row in table.rows}), 3))
    table.rows = [row for row in table.rows if row[0] not in left]
    return table


@mangle(TABLE_MANGLES)
def stranger(chance: Random, table: Table) -> Table:
    # In one of three tables; in a table of its own everyone is welcome.
    if {"birth_date", "given_on", "scale"} & {*table.header}:
        table.rows.append(["stranger-1", *chance.choice(table.rows)[1:]])
    return table


@mangle(TABLE_MANGLES)
def stray_quote(chance: Random, table: Table) -> bytes:
    lines = table.dump().split(b"\n")
    number = chance.randrange(1, len(lines) - 1)
    place = chance.randrange(len(lines[number]) + 1)
    lines[number] = lines[number][:place] + b'"' + lines[number][place:]
    return b"\n".join(lines)


@mangle(TABLE_MANGLES)
def wrong_delimiter(chance: Random, table: Table) -> Table:
    table.delimiter = chance.choice([mark for mark in ",;\t|:" if mark != table.delimiter])
    return table


@mangle(TABLE_MANGLES)
def another_encoding(chance: Random, table: Table) -> Table:
    table.encoding = chance.choice(["utf-16", "utf-32", "utf-16-le", "mac-roman", "cp037"])
    return table


@mangle(TABLE_MANGLES)
def foreign_letters(chance: Random, table: Table) -> Table:
    # In another encoding than the rest of the file.
    table = change_cells(chance, table, r"[A-Za-z].*", lambda text: f"{text}\u00e9", 0.01)
    table.encoding = "latin-1" if table.encoding == "utf-8" else "utf-8"
    return table


@mangle(TABLE_MANGLES)
def huge_header(chance: Random, table: Table) -> Table:
    more = chance.choice([["x" * 2_000_000], [f"extra_{n}" for n in range(5_000)]])
    table.header += more
    table.rows = [row + [""] * len(more) for row in table.rows[:10]]
    return table


@mangle(TABLE_MANGLES)
def huge_cell(chance: Random, table: Table) -> Table:
    return change_cells(chance, table, r".+", lambda text: "9" * 3_000_000, 0.0)


@mangle(TABLE_MANGLES)
def control_characters(chance: Random, table: Table) -> Table:
    mark = chance.choice(["\x00", "\x07", "\x1b[31m", "\u202e", "\ufeff", "\u200b", "\x85"])
    return change_cells(chance, table, r".+", lambda text: text[:1] + mark + text[1:])


@mangle(TABLE_MANGLES)
def formula_cells(chance: Random, table: Table) -> Table:
    return change_cells(chance, table, r"\d+", lambda text: f"={text}+0")


@mangle(TABLE_MANGLES)
def header_alone(chance: Random, table: Table) -> Table:
    table.rows = []
    return table


@mangle(BYTE_MANGLES)
def byte_order_mark(chance: Random, content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def is_text(content: bytes) -> bool:
    # Not so the file of SPSS: it has no checksum that would show a number to be another.
    return not content.startswith((b"PK", b"$FL"))


@mangle(BYTE_MANGLES)
def mixed_line_ends(chance: Random, content: bytes) -> bytes:
    if not is_text(content):
        return content
    ends = [b"\n", b"\r\n", b"\r\n"]
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    return b"".join(line + chance.choice(ends) for line in lines[:-1]) + lines[-1]


@mangle(BYTE_MANGLES)
def old_line_ends(chance: Random, content: bytes) -> bytes:
    if not is_text(content):
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r")


@mangle(BYTE_MANGLES, FEWER | BLANK)
def cut_short(chance: Random, content: bytes) -> bytes:
    # Behind a delimiter, so that no number loses its last digit unseen.
    cut = chance.randrange(1, len(content))
    marks = [content.rfind(mark, 0, cut) for mark in (b",", b";", b"\n")]
    return content[: max(1, *marks)]


@mangle(BYTE_MANGLES)
def empty(chance: Random, content: bytes) -> bytes:
    return chance.choice([b"", b"\n", b"   ", b"\r\n\r\n", b"\xef\xbb\xbf"])


@mangle(BYTE_MANGLES)
def zeros(chance: Random, content: bytes) -> bytes:
    cut = chance.randrange(len(content))
    within = content[:cut] + b"\0" * 64 + content[cut:]
    return chance.choice([b"\0" * 4096, within]) if is_text(content) else b"\0" * 4096


@mangle(BYTE_MANGLES)
def noise(chance: Random, content: bytes) -> bytes:
    return chance.randbytes(4096)


@mangle(BYTE_MANGLES)
def noise_within(chance: Random, content: bytes) -> bytes:
    if not is_text(content):
        return content
    cut = chance.randrange(len(content))
    return content[:cut] + bytes(chance.choices(range(128, 256), k=40)) + content[cut:]


@mangle(BYTE_MANGLES)
def compressed(chance: Random, content: bytes) -> bytes:
    return gzip.compress(content)


@mangle(BYTE_MANGLES)
def compressed_and_cut(chance: Random, content: bytes) -> bytes:
    whole = gzip.compress(content)
    return whole[: chance.randrange(2, len(whole))]


@mangle(BYTE_MANGLES)
def compressed_noise(chance: Random, content: bytes) -> bytes:
    return gzip.compress(chance.randbytes(2000))


@mangle(BYTE_MANGLES)
def archived(chance: Random, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(chance.choice(["export.csv", "xl/workbook.xml", "a/b"]), content)
    whole = out.getvalue()
    return whole[: len(whole) - chance.choice([0, 30, len(whole) // 2])]


@mangle(BYTE_MANGLES)
def web_page(chance: Random, content: bytes) -> bytes:
    return b"<!DOCTYPE html><html><body>Your session has expired. Please log in.</body></html>\n"


@mangle(BYTE_MANGLES)
def another_kind(chance: Random, content: bytes) -> bytes:
    head = [b"PK\x03\x04", b"PAR1", b"%PDF-1.7\n", b"$FL2@(#)", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]
    return chance.choice(head) + content


@mangle(BYTE_MANGLES)
def flipped_bits(chance: Random, content: bytes) -> bytes:
    # Of a workbook, whose parts have checksums; in a text, a 3 that became a 2 cannot be seen.
    if not content.startswith(b"PK"):
        return content
    flipped = bytearray(content)
    for _ in range(3):
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


@mangle(BYTE_MANGLES, BLANK)
def other_json(chance: Random, content: bytes) -> bytes:
    if not content.startswith(b"["):
        return content
    records = json.loads(content)
    record = chance.choice(records)
    name = chance.choice([*record])
    ways: list[Callable[[], Any]] = [
        lambda: record.update({name: [record[name]]}),
        lambda: record.update({name: {"value": record[name]}}),
        lambda: record.update({name: float("nan")}),
        lambda: record.update({name: 10**400}),
        lambda: record.update({name: True}),
        lambda: record.update({"another": "1"}),
        lambda: records.append(CANARY),
        lambda: records.append([]),
        lambda: records.append({}),
    ]
    chance.choice(ways)()
    return json.dumps(records).encode()


@mangle(BYTE_MANGLES)
def other_json_text(chance: Random, content: bytes) -> bytes:
    if not content.startswith(b"["):
        return content
    record = content.rindex(b"{") + 1
    texts = [
        b"[" * 100_000,
        b'{"records": ' + content + b"}",
        content + content,
        content[:record] + b'"sex": "1", ' + content[record:],
        content.replace(b'"', b"'"),
        content.rstrip(b"]\n ") + b",]",
        b"\n".join(json.dumps(record).encode() for record in json.loads(content)),
        b"null",
        b"{}",
        b"[]",
        b'{"error": "You do not have permissions to use the API"}',
    ]
    return chance.choice(texts)


@mangle(BYTE_MANGLES)
def numbers_in_json(chance: Random, content: bytes) -> bytes:
    return re.sub(rb'": "(\d{1,3}(?:\.\d+)?)"', rb'": \1', content)


@mangle(BYTE_MANGLES, BLANK | FEWER)
def lacking_keys(chance: Random, content: bytes) -> bytes:
    if not content.startswith(b"["):
        return content
    records = json.loads(content)
    for record in chance.sample(records, 3):
        del record[chance.choice([*record])]
    return json.dumps(records).encode()


def read_table(path: Path) -> Table | None:
    """Read an undamaged export; None of a kind that has no texts to damage."""
    if path.suffix == ".csv":
        content = path.read_bytes()
        delimiter, encoding = (";", "cp1252") if b";" in content[:200] else (",", "utf-8")
        lines = io.StringIO(content.decode(encoding), newline="")
        header, *rows = csv.reader(lines, delimiter=delimiter)
        return Table(header, rows, delimiter, encoding, ragged=True)
    if path.suffix == ".json":
        records = json.loads(path.read_bytes())
        return Table([*records[0]], [[*record.values()] for record in records])
    if path.suffix == ".xlsx":
        sheet = python_calamine.load_workbook(path).get_sheet_by_index(0)
        title, blank, upper, lower, *rows = [[*map(show, row)] for row in sheet.to_python()]
        groups = accumulate(upper, lambda last, name: name or last)
        header = [f"{group}|{name}" for group, name in zip(groups, lower, strict=True)]
        return Table(header, rows[:-2], before=[title, blank], after=rows[-2:])
    return None


def show(cell: Any) -> str:
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)


def write_table(path: Path, table: Table) -> None:
    """Write a damaged export in the format of the undamaged one."""
    if path.suffix == ".csv":
        path.write_bytes(table.dump())
    elif path.suffix == ".json":
        records = ", ".join(write_record(table.header, row) for row in table.rows)
        path.write_bytes(f"[{records}]".encode(table.encoding, "replace"))
    else:
        parts = [name.partition("|") for name in table.header]
        header = [[group for group, _, _ in parts], [name for _, _, name in parts]]
        rows = [*table.before, *header, *table.rows, *table.after]
        write_workbook(path, [[*map(make_cell, row)] for row in rows], [(1, 1, 8)])


def write_record(names: list[str], texts: list[str]) -> str:
    # By hand: a name may come twice.
    pairs = zip(names, texts, strict=False)
    texts = [f"{json.dumps(name)}: {json.dumps(text)}" for name, text in pairs]
    return f"{{{', '.join(texts)}}}"


def make_cell(text: str) -> Any:
    if re.fullmatch(r"\d+(\.\d+)?", text) and len(text) < 20:
        return float(text)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.datetime.fromisoformat(text)
    return "".join(filter(is_writable, text)) or None


def is_writable(letter: str) -> bool:
    # XML has no control characters.
    return letter >= " "


def damage_export(mangle: Mangle, path: Path, chance: Random) -> bool:
    """Damage a file in place; return False if this damage does not apply to it."""
    before = path.read_bytes()
    if mangle in TABLE_MANGLES:
        table = read_table(path)
        if table is None:
            return False
        damaged = mangle.damage(chance, table)
        if isinstance(damaged, Table):
            write_table(path, damaged)
        elif path.suffix == ".csv":
            path.write_bytes(damaged)
    else:
        path.write_bytes(mangle.damage(chance, before))
    return path.read_bytes() != before
