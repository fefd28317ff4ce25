"""Mappings in a notebook: drafted from exports, and tried on them."""

from collections.abc import Sequence
from pathlib import Path

from features.base.commands import show_progress
from features.base.foreign import translate_errors
from ketamine_response.cohorts import list_files, to_path
from training import mapping as commands
from training.drafting.draft import Draft
from training.mapping import Checked

Exports = str | Path | Sequence[str | Path]


def suggest_mapping(exports: Exports, dictionary: str | Path | None = None) -> Draft:
    """Draft a mapping for exports: ``python -m training mapping suggest``.

    Parameters
    ----------
    exports
        A file, a folder, or a list of files.
    dictionary
        As :func:`read_cohort` takes it.

    Returns
    -------
    Draft
        ``text`` is the draft (TOML), with a confidence and a question for each column, to be
        answered by you: no function applies it unseen. ``as_dict()`` lists the suggestions.

    Raises
    ------
    InputError
        If there is no export, or one of them cannot be read.
    """
    known = to_path(dictionary)
    with translate_errors(), show_progress(False):
        return commands.suggest_mapping(list_files(exports), known)


def check_mapping(
    mapping: str | Path,
    exports: Exports,
    dictionary: str | Path | None = None,
    incomplete: bool = False,
    ignore_unknown: bool = False,
) -> Checked:
    """Try a mapping, or a draft, on exports: ``python -m training mapping check``.

    Parameters
    ----------
    mapping
        A mapping file (TOML).
    exports, dictionary, incomplete, ignore_unknown
        As :func:`suggest_mapping` and :func:`read_cohort` take them.

    Returns
    -------
    Checked
        ``columns`` says what each column becomes, ``problems`` is all that is wrong, ``facts`` is
        what would be read; None if there are problems.

    Raises
    ------
    MappingError
        If the mapping is not TOML.
    """
    known = to_path(dictionary)
    files = list_files(exports)
    with translate_errors(), show_progress(False):
        return commands.check_mapping(Path(mapping), files, known, incomplete, ignore_unknown)
