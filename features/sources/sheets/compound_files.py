"""Compound files, in which Excel keeps .xls workbooks: as [MS-CFB] describes them."""

import struct
from collections.abc import Iterator
from pathlib import Path

_NO_SECTOR = 0xFFFFFFFA
# Where the header lists the first sectors of the allocation table.
_TABLE_START, _TABLE_ENTRIES = 0x4C, 109
_ENTRY_BYTES = 128


def read_workbook_stream(path: Path) -> bytes:
    """Read the stream of a workbook's records.

    Raises
    ------
    KeyError, ValueError, IndexError, struct.error
        If the file is damaged, or no workbook.
    """
    content = path.read_bytes()
    (shift,) = struct.unpack_from("<H", content, 0x1E)
    directory, _, cutoff, small_table, small_size = struct.unpack_from("<5I", content, 0x30)
    (further_size,) = struct.unpack_from("<I", content, 0x48)
    size = 1 << shift
    sectors = [content[start : start + size] for start in range(size, len(content), size)]
    # Numbers of sectors, for which calamine would reserve memory.
    if max(*struct.unpack_from("<2I", content, 0x28), small_size, further_size) > len(sectors):
        raise ValueError("more sectors than there are")
    table = _read_table(content, sectors)
    entries = dict(_list_streams(b"".join(_follow(sectors, table, directory))))
    start, length = entries.get("workbook") or entries["book"]
    if length >= cutoff:
        return _read_stream(sectors, table, start, length)
    # Short streams lie in a stream of their own, in sectors of 64 bytes.
    stream = _read_stream(sectors, table, *entries["root entry"])
    small = [stream[begin : begin + 64] for begin in range(0, len(stream), 64)]
    links = _unpack_numbers(b"".join(_follow(sectors, table, small_table)))
    return _read_stream(small, links, start, length)


def _read_table(content: bytes, sectors: list[bytes]) -> tuple[int, ...]:
    listed = list(struct.unpack_from(f"<{_TABLE_ENTRIES}I", content, _TABLE_START))
    (further,) = struct.unpack_from("<I", content, 0x44)
    # Lists of a large file continue in sectors that end with the number of the next one.
    for _ in range(len(sectors)):
        if further >= _NO_SECTOR:
            break
        *more, further = _unpack_numbers(sectors[further])
        listed += more
    used = [sector for sector in listed if sector < _NO_SECTOR]
    return _unpack_numbers(b"".join(sectors[sector] for sector in used))


def _unpack_numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])


def _follow(sectors: list[bytes], table: tuple[int, ...], sector: int) -> Iterator[bytes]:
    # A circle of sectors would have no end.
    for _ in range(len(sectors)):
        if sector >= _NO_SECTOR:
            return
        yield sectors[sector]
        sector = table[sector]


def _read_stream(sectors: list[bytes], table: tuple[int, ...], start: int, length: int) -> bytes:
    stream = b"".join(_follow(sectors, table, start))
    if len(stream) < length:
        raise ValueError("cut off")
    return stream[:length]


def _list_streams(directory: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    for start in range(0, len(directory), _ENTRY_BYTES):
        entry = directory[start : start + _ENTRY_BYTES]
        (letters,) = struct.unpack_from("<H", entry, 0x40)
        name = entry[: max(letters - 2, 0)].decode("utf-16-le").lower()
        yield name, struct.unpack_from("<2I", entry, 0x74)
