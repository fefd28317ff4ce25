"""Writes small workbooks in each format, cell by cell, as no library here does."""

import struct
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from xml.sax.saxutils import escape, quoteattr

EPOCH = datetime(1899, 12, 30)
CODES = {"#DIV/0!": 0x07, "#VALUE!": 0x0F, "#N/A": 0x2A}


@dataclass(frozen=True)
class Error:
    """A cell that holds an error."""

    text: str


def number_day(day):
    """A date as Excel stores it."""
    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)
    serial = (moment - EPOCH).total_seconds() / 86400
    # Excel takes 1900 for a leap year.
    return serial if serial > 60 else serial - 1


def name_cell(row, column):
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


def describe_cell(value, place):
    match value:
        case Error():
            return f'<c r="{place}" t="e"><v>{escape(value.text)}</v></c>'
        case bool():
            return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
        case date():
            return f'<c r="{place}" s="1"><v>{number_day(value)!r}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{value!r}</v></c>'
        case _:
            text = f'<t xml:space="preserve">{escape(value)}</t>'
            return f'<c r="{place}" t="inlineStr"><is>{text}</is></c>'


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/>'
    "</cellXfs></styleSheet>"
)


def write_xlsx(path, sheets, merged=()):
    """Write sheets, each a list of rows; None is an empty cell."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        listed = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="r{n}"/>'
            for n, name in enumerate(sheets, 1)
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        )
        root = f'<Relationship Id="w" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        text = f'<Relationships xmlns="{RELATIONS}">{root}</Relationships>'
        archive.writestr("_rels/.rels", text)
        write_relations(archive, "xl/_rels/workbook.xml.rels", len(sheets), "xml")
        archive.writestr("xl/styles.xml", STYLES)
        for number, rows in enumerate(sheets.values(), 1):
            lines = "".join(
                f'<row r="{row + 1}">'
                + "".join(
                    describe_cell(value, name_cell(row, column))
                    for column, value in enumerate(cells)
                    if value is not None
                )
                + "</row>"
                for row, cells in enumerate(rows)
            )
            ranges = "".join(f'<mergeCell ref="{area}"/>' for area in merged)
            ranges = f"<mergeCells>{ranges}</mergeCells>" if merged else ""
            text = f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData>{ranges}</worksheet>'
            archive.writestr(f"xl/worksheets/sheet{number}.xml", text)


def write_relations(archive, name, count, ending):
    entries = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.{ending}"/>'
        for n in range(1, count + 1)
    )
    styles = f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/>'
    entries += styles if ending == "xml" else ""
    archive.writestr(name, f'<Relationships xmlns="{RELATIONS}">{entries}</Relationships>')


SPACES = {
    name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
    for name in ("office", "table", "text")
} | {"calcext": "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"}


def describe_open_cell(value):
    match value:
        case None:
            return "<table:table-cell/>"
        case Error():
            kind, text = 'office:value-type="string" calcext:value-type="error"', value.text
        case bool():
            kind, text = f'office:value-type="boolean" office:boolean-value="{value!s}"'.lower(), ""
        case date():
            kind, text = f'office:value-type="date" office:date-value="{value.isoformat()}"', ""
        case int() | float():
            kind, text = f'office:value-type="float" office:value="{value!r}"', ""
        case _:
            kind, text = 'office:value-type="string"', value
    return f"<table:table-cell {kind}><text:p>{escape(text)}</text:p></table:table-cell>"


def write_ods(path, sheets, spans=None):
    """Write sheets as OpenDocument; `spans` says how many columns a cell of the first covers."""
    tables = []
    for name, rows in sheets.items():
        lines = []
        for row, cells in enumerate(rows):
            texts = [describe_open_cell(cell) for cell in cells]
            for (line, column), width in (spans or {}).items():
                if line == row:
                    wide = f'<table:table-cell table:number-columns-spanned="{width}"'
                    texts[column] = texts[column].replace("<table:table-cell", wide)
            lines.append(f"<table:table-row>{''.join(texts)}</table:table-row>")
        blank = '<table:table-cell table:number-columns-repeated="1024"/>'
        lines.append(
            f'<table:table-row table:number-rows-repeated="1048000">{blank}</table:table-row>'
        )
        tables.append(f"<table:table table:name={quoteattr(name)}>{''.join(lines)}</table:table>")
    names = " ".join(f'xmlns:{name}="{space}"' for name, space in SPACES.items())
    body = f"<office:body><office:spreadsheet>{''.join(tables)}</office:spreadsheet></office:body>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        kind = "application/vnd.oasis.opendocument.spreadsheet"
        archive.writestr("mimetype", kind)
        space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        entry = f'<m:file-entry m:full-path="/" m:media-type="{kind}"/>'
        manifest = f'<m:manifest xmlns:m="{space}">{entry}</m:manifest>'
        archive.writestr("META-INF/manifest.xml", manifest)
        archive.writestr(
            "content.xml", f"<office:document-content {names}>{body}</office:document-content>"
        )


def pack_record(kind, data=b""):
    def vary(number, shortest=1):
        parts = []
        while number or len(parts) < shortest:
            parts.append(number & 0x7F)
            number >>= 7
        return bytes([*(part | 0x80 for part in parts[:-1]), parts[-1]])

    return vary(kind) + vary(len(data)) + data


def pack_wide(text):
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def pack_cell(column, value):
    start = struct.pack("<2I", column, 0)
    match value:
        case Error():
            return pack_record(3, start + bytes([CODES[value.text]]))
        case bool():
            return pack_record(4, start + bytes([value]))
        case int() | float():
            return pack_record(5, start + struct.pack("<d", value))
        case _:
            return pack_record(6, start + pack_wide(value))


def write_xlsb(path, sheets, merged=()):
    """Write sheets in the binary form of .xlsx; `merged` has (top, bottom, left, right)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        listed = b"".join(
            pack_record(156, struct.pack("<2I", 0, n) + pack_wide(f"r{n}") + pack_wide(name))
            for n, name in enumerate(sheets, 1)
        )
        content = pack_record(131) + pack_record(143) + listed + pack_record(144) + pack_record(132)
        archive.writestr("xl/workbook.bin", content)
        write_relations(archive, "xl/_rels/workbook.bin.rels", len(sheets), "bin")
        for number, rows in enumerate(sheets.values(), 1):
            last = struct.pack("<4I", 0, len(rows) - 1, 0, max(map(len, rows)) - 1)
            parts = [pack_record(129), pack_record(148, last), pack_record(145)]
            for row, cells in enumerate(rows):
                parts.append(pack_record(0, struct.pack("<I", row) + bytes(17)))
                parts += [pack_cell(c, value) for c, value in enumerate(cells) if value is not None]
            parts.append(pack_record(146))
            parts += [pack_record(176, struct.pack("<4I", *area)) for area in merged]
            archive.writestr(
                f"xl/worksheets/sheet{number}.bin", b"".join([*parts, pack_record(130)])
            )


def pack_old(kind, data=b""):
    return struct.pack("<2H", kind, len(data)) + data


def pack_old_cell(row, column, value):
    start = struct.pack("<3H", row, column, 0)
    match value:
        case Error():
            return pack_old(0x205, start + bytes([CODES[value.text], 1]))
        case bool():
            return pack_old(0x205, start + bytes([value, 0]))
        case int() | float():
            return pack_old(0x203, start + struct.pack("<d", value))
        case _:
            text = struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")
            return pack_old(0x204, start + text)


def write_xls(path, sheets, formula_errors=()):
    """Write sheets as Excel 97 does; `formula_errors` has (row, column, text) of the first."""
    begin = struct.pack("<HH", 0x0600, 0x0005) + bytes(12)
    bodies = []
    for number, rows in enumerate(sheets.values()):
        parts = [pack_old(0x809, struct.pack("<HH", 0x0600, 0x0010) + bytes(12))]
        size = struct.pack("<IIHHH", 0, len(rows), 0, max(map(len, rows)), 0)
        parts.append(pack_old(0x200, size))
        for row, cells in enumerate(rows):
            parts += [pack_old_cell(row, c, v) for c, v in enumerate(cells) if v is not None]
        for row, column, text in formula_errors if number == 0 else ():
            result = bytes([2, 0, CODES[text], 0, 0, 0, 0xFF, 0xFF])
            data = struct.pack("<3H", row, column, 0) + result + bytes(8)
            parts.append(pack_old(0x06, data))
        bodies.append(b"".join([*parts, pack_old(0x0A)]))
    names = [name.encode("utf-16-le") for name in sheets]
    offset = len(pack_old(0x809, begin)) + len(pack_old(0x0A))
    offset += sum(len(pack_old(0x85, bytes(8) + name)) for name in names)
    listed = []
    for name, body in zip(names, bodies, strict=True):
        head = struct.pack("<IHBB", offset, 0, len(name) // 2, 1)
        listed.append(pack_old(0x85, head + name))
        offset += len(body)
    content = pack_old(0x809, begin) + b"".join(listed) + pack_old(0x0A) + b"".join(bodies)
    path.write_bytes(pack_compound(content.ljust(4096, b"\0")))


def pack_compound(stream):
    """A compound file with one stream, which is long enough to lie in sectors of its own."""
    sectors = -(-len(stream) // 512)
    table = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, sectors + 2), 0xFFFFFFFE]
    table += [0xFFFFFFFF] * (128 - len(table))
    assert len(table) == 128

    def describe(name, kind, start, size, child=0xFFFFFFFF):
        text = name.encode("utf-16-le")
        entry = text.ljust(64, b"\0") + struct.pack("<HBB", len(text) + 2, kind, 1)
        entry += struct.pack("<3I", 0xFFFFFFFF, 0xFFFFFFFF, child) + bytes(36)
        return entry + struct.pack("<IQ", start, size)

    directory = describe("Root Entry", 5, 0xFFFFFFFE, 0, 1) + describe(
        "Workbook", 2, 2, len(stream)
    )
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<5H", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<9I", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<I", 0) + b"\xff" * 432
    return (
        header
        + struct.pack("<128I", *table)
        + directory.ljust(512, b"\0")
        + stream.ljust(sectors * 512, b"\0")
    )
