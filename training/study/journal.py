"""Journals: lines of JSON, each on disk before the next is begun, so that killed work resumes."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Journal:
    """A file of entries, which need not exist yet; several processes may add to it."""

    path: Path

    def read(self) -> Iterator[Entry]:
        """Read the entries in the order in which they were added."""
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off when a process was killed: it will be done again

    def add(self, entry: Entry) -> None:
        """Add one entry, and return when it is on disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            line = json.dumps(entry, allow_nan=False).encode() + b"\n"
            file.write(line if self._ends_whole(file) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _ends_whole(file: Any) -> bool:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) == b"\n")
