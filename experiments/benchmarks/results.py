"""Results as lines of JSON, each on disk before the next is begun: a killed benchmark goes on."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """A file of results.

    Parameters
    ----------
    path
        Need not exist yet.
    """

    path: Path

    def read(self) -> dict[str, Result]:
        """Read the latest result by key."""
        return {result["key"]: result for result in self._list()}

    def _list(self) -> Iterator[Result]:
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off when a process was killed: it will be done again

    def add(self, result: Result) -> None:
        """Add one result, and return when it is on disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            line = json.dumps(result, allow_nan=False).encode() + b"\n"
            file.write(line if self._ends_whole(file) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _ends_whole(file: Any) -> bool:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) == b"\n")
