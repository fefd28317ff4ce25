"""Laying out records in an export's own columns and words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from features.base.files import open_atomic

# Their column = our field, in the order of the export.
Layout = Mapping[str, str]
# Our field = their word for each of our values.
Words = Mapping[str, Mapping[Any, Any]]

FLAG_CODES = {False: 0, True: 1}
FLAG_WORDS = {False: "no", True: "yes"}
ANSWERS = {0: "Not at all", 1: "Several days", 2: "More than half the days", 3: "Nearly every day"}


def lay_out(records: Any, layout: Layout, words: Words) -> Any:
    """Return the columns of an export; whole numbers are shown without a decimal point."""
    columns = {
        theirs: records[ours].map(words[ours]) if ours in words else records[ours]
        for theirs, ours in layout.items()
    }
    return pd.DataFrame(columns).convert_dtypes()


def write_csv(table: Any, path: Path, **settings: Any) -> Path:
    """Write a table as most programs do: in UTF-8, with ISO dates and empty cells if missing."""
    settings = {"index": False, "date_format": "%Y-%m-%d", "encoding": "utf-8"} | settings
    with open_atomic(path) as file:
        table.to_csv(file, **settings)
    return path
