"""``python -m training mapping``: drafts of mappings, and what a mapping would read."""

from collections.abc import Sequence
from pathlib import Path

from features.base.commands import track
from features.base.errors import InputError, Problem
from features.dictionary.dictionary import Dictionary
from training.drafting.draft import Draft, draft_mapping
from training.drafting.opening import list_exports, profile_export


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
