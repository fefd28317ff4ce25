"""Studies in a notebook: of a file, of keyword arguments, or of both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.base.errors import StudyError
from features.base.files import read_toml
from training.study.study import Study as Settings
from training.study.study import make_study


class Study:
    """Everything that a run needs: a study file, keyword arguments, or a file with changes.

    Parameters
    ----------
    source
        A study file (TOML), or its content as a dictionary.
    folder
        Where the study's relative paths start: the file's own folder, or else the current one.
    settings
        Keys of a study file. A table's keys replace the file's one by one: with
        ``validation={"folds": 3}`` the other settings of ``[validation]`` stay.

    Attributes
    ----------
    settings
        The study as it was read: typed, frozen, with every default.

    Raises
    ------
    StudyError
        If a setting does not exist or is not allowed; its ``problems`` are all of them.

    Examples
    --------
    >>> study = Study(
    ...     name="clinic",
    ...     question="Who responds?",
    ...     outcome="phq9.acute.response",
    ...     seed=1,
    ...     validation={"folds": 3},
    ... )
    >>> study
    Study(clinic: phq9.acute.response)
    >>> study.settings.validation.folds, study.settings.validation.repeats
    (3, 4)
    """

    def __init__(
        self,
        source: str | Path | Mapping[str, Any] | None = None,
        /,
        *,
        folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        path = Path(source) if isinstance(source, str | Path) else None
        if path is not None:
            table = read_toml(path, "a study file", StudyError)
        else:
            table = dict(source) if isinstance(source, Mapping) else {}
        start = Path(folder) if folder is not None else (path.parent if path else Path())
        name = path.name if path else "study"
        self.settings: Settings = make_study(_merge(table, settings), start, name)

    def __repr__(self) -> str:
        """Show name and outcome."""
        return f"Study({self.settings.name}: {self.settings.outcome})"


def _merge(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for name, value in changes.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged
