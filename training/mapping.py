"""``python -m training mapping``: drafts of mappings, and what a mapping would read."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.base.commands import track
from features.base.errors import InputError, MappingError, Problem
from features.base.files import read_toml
from features.dictionary.dictionary import Dictionary
from features.records.cohort import read_intake
from features.records.mapping import DRAFT, Mapper, make_mapper, read_mapping
from training.drafting.draft import Draft, draft_mapping
from training.drafting.opening import list_exports, profile_export
from training.findings.format import format_table


def suggest_mapping(exports: Sequence[Path], dictionary: Dictionary) -> Draft:
    """Draft a mapping for some exports.

    Raises
    ------
    InputError
        If there is no export, or one of them cannot be read at all.
    """
    paths = list_exports(exports)
    if not paths:
        message = "no file here is of a known format"
        raise InputError([Problem("EXPORT", "exists", message)])
    profiles = [
        profile
        for path in track(paths, len(paths), "looking")
        for profile in profile_export(path, dictionary)
    ]
    return draft_mapping(profiles, dictionary)
