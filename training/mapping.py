"""``python -m training mapping``: drafts of mappings, and what a mapping would read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.base.commands import track
from features.base.errors import InputError, MappingError, Problem
from features.base.files import read_toml
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.intake.exports import find_exports
from features.intake.followups import list_column_fields
from features.intake.roles import Sorter
from features.records.cohort import read_intake
from features.records.mapping import DRAFT, Mapper, make_mapper
from features.sources.tables import open_table
from training.drafting.draft import Draft, draft_mapping
from training.drafting.opening import list_export_files, profile_exports
from training.findings.format import format_table
from training.findings.intake import IntakeFacts, describe_intake, leave_incomplete
from training.intake import summarise_intake

_LEFT_OUT, _UNKNOWN, _SOURCE = "left out", "unknown", "source of a derived field"
# Keys of a table in a mapping that name a column by its part.
_PARTS = ("course", "visit", "day", "week", "date", "instrument", "score", "item", "value")


def suggest_mapping(
    exports: Sequence[Path], dictionary: Path | None = None, out: Path | None = None
) -> Draft:
    """Draft a mapping for some exports.

    Parameters
    ----------
    dictionary
        File of a clinic's own instruments and fields.
    out
        Where the draft will be written: paths in it start at its folder.

    Raises
    ------
    InputError
        If there is no export, or one of them cannot be read in any way that is tried.
    """
    paths, known = list_export_files(exports), load_dictionary(dictionary)
    profiles = list(track(profile_exports(paths, known), None, "reading exports"))
    if not profiles:
        raise InputError([Problem("EXPORT", "exists", "no table is here")])
    return draft_mapping(profiles, known, Path() if out is None else out.parent)


@dataclass(frozen=True)
class Becomes:
    """What a column of an export becomes."""

    table: str
    column: str
    becomes: str


@dataclass(frozen=True)
class Checked:
    """The dry run of a mapping: what would be read, and all that is wrong."""

    columns: Sequence[Becomes] = ()
    problems: Sequence[Problem] = ()
    # None if there are problems.
    facts: IntakeFacts | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "columns": [vars(entry) for entry in self.columns],
            "errors": [problem.as_dict() for problem in self.problems],
            "intake": None if self.facts is None else self.facts.model_dump(mode="json"),
        }


def describe_check(checked: Checked) -> str:
    """Describe in Markdown what each column becomes, what would be read, and all problems."""
    rows = [[entry.table, entry.column, entry.becomes] for entry in checked.columns]
    parts = [format_table([["Table", "Column", "Becomes"], *rows])] if rows else []
    if checked.facts is not None:
        parts.append(summarise_intake(checked.facts))
    if checked.problems:
        lines = [f"- {problem}" for problem in checked.problems]
        parts.append("\n".join([f"{len(lines)} to mend:", *lines]))
    return "\n\n".join(parts)


def check_mapping(
    mapping: Path,
    exports: Sequence[Path],
    dictionary: Path | None = None,
    incomplete: bool = False,
    ignore_unknown: bool = False,
) -> Checked:
    """Read exports by a mapping without keeping anything, a draft too.

    Raises
    ------
    MappingError
        If the mapping is not TOML.
    """
    known = load_dictionary(dictionary)
    table = read_toml(mapping, "a mapping file", MappingError)
    problems: list[Problem] = []
    if table.pop(DRAFT, False) is not False:
        message = "this is a draft: remove this line once its questions are answered"
        problems.append(Problem(DRAFT, "draft", message))
    columns: list[Becomes] = []
    facts = None
    try:
        mapper = make_mapper(table, known, mapping.name, mapping.parent)
        columns = list(_explain_columns(mapper, exports, known, ignore_unknown))
        read = read_intake(exports, mapper, ignore_unknown, known, incomplete)
        cohort, account = leave_incomplete(*read)
        names = tuple(path.name for path in exports)
        facts = describe_intake(cohort, account.as_dict(), names, mapping.name, "The cohort")
    except InputError as error:
        problems += error.problems
    return Checked(columns, problems, None if problems else facts)


def _explain_columns(
    mapper: Mapper, exports: Sequence[Path], dictionary: Dictionary, ignore_unknown: bool
) -> Iterator[Becomes]:
    fields = list_column_fields(dictionary)
    sorter = Sorter(mapper, dictionary, ignore_unknown)
    tables = mapper.list_tables()
    for table, files in find_exports(exports, mapper).tables.items():
        # All files of a table have the same columns, or are refused when they are read.
        for path in files[:1]:
            names = open_table(path, mapper.get_form(table)).names
            roles, problems = sorter.sort(table, names)
            refused = {problem.field.removeprefix(f"{table}.") for problem in problems}
            parts = {getattr(tables[table], part): part for part in _PARTS}
            parts |= {roles.patient: "patient"}
            for name in names:
                ours = roles.fields.get(name)
                becomes = parts.get(name) or ours or (_UNKNOWN if name in refused else _LEFT_OUT)
                yield Becomes(table, name, becomes if becomes in fields or not ours else _SOURCE)
