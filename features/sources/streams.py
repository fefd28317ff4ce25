"""The bytes of a text file as UTF-8, unpacked and decoded on the way."""

import codecs
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, NoReturn, cast

import pyarrow as pa

from features.sources.file_kind import find_packing, refuse_file

# A file may unpack to no more, however small it is.
MAX_UNPACKED_BYTES = 8 << 30
_BLOCK_BYTES = 1 << 20
# Suggested for a mapping if a file is not UTF-8, the likeliest first.
_TRIED = ("windows-1252", "iso-8859-15", "mac-roman", "cp850", "cp437", "windows-1250")
# Signs that exports hold in addition to letters of Latin scripts.
_USUAL_SIGNS = frozenset("‘’“”„–—…•€£°±²³µ·½¼«»®™§¿¡×\u00a0")  # noqa: RUF001 - these very signs


@dataclass(frozen=True)
class TextFile:
    """A text file that may be compressed, and in another encoding than UTF-8."""

    path: Path
    # As a mapping names it.
    encoding: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the file's own bytes are UTF-8."""
        return find_packing(self.path) is None and self._is_utf8

    @property
    def _is_utf8(self) -> bool:
        return self.encoding is None or codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")

    def open(self) -> IO[bytes]:
        """Open the file as UTF-8, at its start."""
        if self.is_plain:
            return self.path.open("rb")
        return io.BufferedReader(_Rereadable(self._read_blocks), _BLOCK_BYTES)

    def read_head(self, size: int) -> bytes:
        """Read the file's first bytes, unpacked but not decoded."""
        return next(self._unpack(), b"")[:size]

    def _unpack(self) -> Iterator[bytes]:
        packing, size = find_packing(self.path), 0
        try:
            with self.path.open("rb") as file:
                stream = file if packing is None else pa.CompressedInputStream(file, packing)
                while block := stream.read(_BLOCK_BYTES):
                    size += len(block)
                    if packing is not None and size > MAX_UNPACKED_BYTES:
                        limit = MAX_UNPACKED_BYTES >> 30
                        refuse_file(self.path, "size", f"unpacks to more than {limit} GiB")
                    yield block
        except (pa.ArrowException, OSError, EOFError):
            if packing is None:
                raise
            refuse_file(self.path, "format", f"cannot be unpacked: it is cut off or not {packing}")

    def _read_blocks(self) -> Iterator[bytes]:
        if self._is_utf8:
            yield from self._unpack()
            return
        decoder = codecs.getincrementaldecoder(str(self.encoding))()
        line = 1
        for block in chain(self._unpack(), [b""]):
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError:
                message = (
                    f"is not in {self.encoding}, as the mapping says: see line {line} or below"
                )
                refuse_file(self.path, "encoding", message)
            line += text.count("\n")
            yield text.encode()

    def refuse_encoding(self) -> NoReturn:
        """Refuse the file because its bytes are not UTF-8; name the line, and what would fit."""
        with self.open() as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError:
                    message = f"must be UTF-8; line {number} is not ({self._suggest_encodings()})"
                    refuse_file(self.path, "encoding", message)
        refuse_file(self.path, "format", f"is not readable as {self.path.suffix}")

    def _suggest_encodings(self) -> str:
        letters: set[int] = set()
        for block in self._unpack():
            letters |= {*block}
        fitting = list_fitting(bytes(sorted(letters - {*range(128)})))
        if not fitting:
            return "save the file as CSV UTF-8"
        named = ", ".join(fitting)
        return (
            f"save the file as CSV UTF-8, or name its encoding in a mapping, "
            f'`encoding = "{fitting[0]}"`; these would fit: {named}'
        )


def list_fitting(letters: bytes) -> list[str]:
    """List the encodings in which bytes beyond ASCII are letters or usual signs, likeliest first.

    Examples
    --------
    >>> list_fitting("éàüß".encode("windows-1252"))
    ['windows-1252', 'iso-8859-15', 'windows-1250']
    """
    capitals = {}
    for name in _TRIED:
        text = letters.decode(name, "replace")
        if all(_is_usual(letter) for letter in text):
            # Accented capitals are rare, but what other encodings make of small letters.
            capitals[name] = sum(map(str.isupper, text))
    return sorted(capitals, key=lambda name: capitals[name])


def _is_usual(letter: str) -> bool:
    # Latin letters with accents end before the phonetic ones.
    return letter in _USUAL_SIGNS or (letter.isalpha() and letter < "\u0250")


class _Rereadable(io.RawIOBase):
    """A stream of blocks that goes back by beginning again."""

    def __init__(self, read_blocks: Callable[[], Iterator[bytes]]) -> None:
        self._read_blocks = read_blocks
        self._begin()

    def _begin(self) -> None:
        self._blocks, self._rest, self._position = self._read_blocks(), b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        view = cast(memoryview, buffer)
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        taken = self._rest[: len(view)]
        view[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        self._position += len(taken)
        return len(taken)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        wanted = offset + (self._position if whence == io.SEEK_CUR else 0)
        if wanted < self._position:
            self._begin()
        skipped = bytearray(_BLOCK_BYTES)
        while self._position < wanted:
            if not self.readinto(memoryview(skipped)[: wanted - self._position]):
                break
        return self._position
