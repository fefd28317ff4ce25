"""Thousands of generated text files: every row comes out or is rejected, or the file is refused."""

import csv
import gzip
import io
import re

from features.base.errors import CohortError
from features.records.cohort import read_batches
from features.records.mapping import Mapper
from features.sources.tables import open_table

FILES = (500, 5_000)  # in `make test`, in `make endurance`
COLUMNS = ("patient_id", "condition", "phq9")
WORDS = ("low", "ok", "", "n/a", "5", "she slept, a little", 'says "no"', "é", "semi;colon", " ")
BREAKS = ("two\nlines", "two\r\nlines, and more", '"\n"', "\n")
QUOTING = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)
ENCODINGS = ("utf-16", "utf-16-le", "windows-1252", "cp437", "mac-roman")
SCORES = (0, 3, 17, 27, "", "x", 99)


def generate_rows(chance, words):
    """Rows of which some break a rule, with a header."""
    texts = [f"text_{number}" for number in range(chance.randint(1, 4))]
    names = [*COLUMNS, *texts]
    chance.shuffle(names)
    rows = []
    for number in range(chance.randint(0, 12)):
        values = {"patient_id": f"a{number}", "condition": "depression"}
        values |= {"phq9": chance.choice(SCORES)}
        values |= {name: chance.choice(words) for name in texts}
        rows.append([values[name] for name in names])
    return [names, *rows]


def write_rows(chance, rows):
    """Write rows as one of the programs does that write CSV."""
    text = io.StringIO(newline="")
    # Python 3.11 quotes a line break only if it is one of those that end rows.
    end, quoting = chance.choice(["\n", "\r\n", "\r"]), chance.choice(QUOTING)
    quoting = csv.QUOTE_ALL if end == "\r" else quoting
    csv.writer(text, quoting=quoting, lineterminator=end).writerows(rows)
    content = text.getvalue()
    if chance.random() < 0.3:
        content = content.removesuffix(end)
    mark = "\ufeff" if chance.random() < 0.2 else ""
    return mark + content


def damage(chance, content):
    """Insert and remove quotation marks and commas below the header."""
    head, end, text = re.split(r"([\r\n]+|$)", content, maxsplit=1)
    if not text:
        return content
    for _ in range(chance.randint(1, 3)):
        index = chance.randint(0, len(text))
        marks = [match.start() for match in re.finditer('[",]', text)]
        if marks and chance.random() < 0.4:
            gone = chance.choice(marks)
            text = text[:gone] + text[gone + 1 :]
        else:
            text = text[:index] + chance.choice('"",') + text[index:]
    return head + end + text


def store(chance, content, folder):
    """Store a text in one of the encodings, of which UTF-8 need not be named, packed or not."""
    encoding = chance.choice((None, None, *ENCODINGS))
    if encoding not in (None, "utf-16"):
        content = content.removeprefix("\ufeff")
    stored = content.encode(encoding or "utf-8")
    if chance.random() < 0.3:
        path = folder / "cohort.csv.gz"
        path.write_bytes(gzip.compress(stored))
    else:
        path = folder / "cohort.csv"
        path.write_bytes(stored)
    return path, encoding


def account(path, names, encoding=None):
    """Count the rows of a file that come out and those that are rejected."""
    mapper = Mapper(ignore=tuple(set(names) - set(COLUMNS)), encoding=encoding)
    table = open_table(path, mapper)
    seen, problems = 0, []
    for batch in read_batches(table, mapper):
        seen += batch.columns.size
        problems += batch.problems
    problems += table.list_ragged()
    rejected = {row for problem in problems for row in problem.rows}
    rows = seen + len(table.ragged)
    assert all(1 <= row <= rows for row in rejected)
    return rows, rejected


def account_or_refuse(path, names, encoding):
    """Count the rows of a file; None, with the reasons, if it is refused as a whole."""
    try:
        return account(path, names, encoding)[0], ()
    except CohortError as error:
        return None, error.problems


def test_every_row_of_a_well_formed_file_is_accounted_for(tmp_path, choose_count, chance):
    for _ in range(choose_count(*FILES)):
        header, *rows = generate_rows(chance, WORDS + BREAKS)
        path, encoding = store(chance, write_rows(chance, [header, *rows]), tmp_path)
        count, rejected = account(path, header, encoding)
        scores = [row[header.index("phq9")] for row in rows]
        assert count == len(rows)
        assert rejected == {n for n, score in enumerate(scores, 1) if score in ("", "x", 99)}


def test_no_row_of_a_damaged_file_is_lost_in_silence(tmp_path, choose_count, chance):
    """Without line breaks in values, each line is a row that is neither blank nor a mark alone.

    Such a mark closes the last value of the row above, which then ends in a line break.
    """
    refused = 0
    files = choose_count(*FILES)
    for _ in range(files):
        header, *rows = generate_rows(chance, WORDS)
        content = damage(chance, write_rows(chance, [header, *rows]))
        path, encoding = store(chance, content, tmp_path)
        lines = re.split(r"[\r\n]+", content.lstrip("\ufeff"))
        lines = [line for line in lines if line not in ("", '"')]
        count, problems = account_or_refuse(path, header, encoding)
        refused += count is None
        assert count is None or count == len(lines) - 1, content
        assert all(p.rule == "quotes" and re.search(r"lines? \d", p.message) for p in problems)
    assert files / 4 < refused < files
