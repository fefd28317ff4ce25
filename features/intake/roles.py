"""What each column of a table is for: a key, a field, a source of a derived one, or nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.intake.followups import list_column_fields
from features.intake.frame import Roles
from features.intake.names import check_names
from features.intake.plan import Plan, TableSection, matches, translate_name

PATIENT = "patient_id"


class Sorter:
    """Sorts the columns of the tables of one mapping."""

    def __init__(self, plan: Plan, dictionary: Dictionary, ignore_unknown: bool) -> None:
        self.plan = plan
        self.dictionary = dictionary
        self.known = list_column_fields(dictionary)
        self.ignore_unknown = ignore_unknown
        # Columns that the mapping renames and that some table has.
        self.renamed: set[str] = set()

    def sort(self, table: str, names: Sequence[str]) -> tuple[Roles, list[Problem]]:
        """Assign each column of a table its role, and find those that are not allowed."""
        section = self.plan.list_tables()[table]
        problems = list(self._check_present(table, section, names))
        patient = self._find_patient(section, names)
        if patient is None and section.kind != "alone":
            message = "no column joins this table: name it by `patient`"
            problems.append(Problem(f"{table}.{PATIENT}", "missing_column", message))
        own = section.keys if patient is None else [patient, *section.keys]
        keys = dict.fromkeys(name for name in own if name in names)
        fields: dict[str, str] = {}
        strange: list[str] = []
        dropped: list[str] = []
        for name in names:
            ours = self._rename(section, name)
            if name in keys and not self.is_source(table, name, ours):
                continue
            verdict = self._judge(table, section, name, ours)
            if verdict in ("read", "check"):
                fields[name] = ours
            if verdict != "read":
                (strange if verdict == "refuse" else dropped).append(ours)
        problems += self._check_strange(table, strange, dropped)
        left_out = len({*names} - {*keys} - {*fields})
        problems += _check_targets(table, fields)
        problems += _check_nameless(table, names, (*keys, *fields))
        loaded = tuple(dict.fromkeys([*keys, *fields]))
        return Roles(patient, loaded, fields, left_out), problems

    def check_renamed(self) -> list[Problem]:
        """Find columns that the mapping renames, but that no table has."""
        message = "the mapping renames it, but no column has it"
        return [
            Problem(name, "missing_column", message)
            for name in self.plan.rename
            if name not in self.renamed
        ]

    def is_source(self, table: str, name: str, ours: str, only_dates: bool = False) -> bool:
        """Return whether a field is derived from this column; optionally, from its date."""
        labels = {f"{table}.{name}", f"{table}.{ours}"}
        columns = self.plan.list_tables()[table].columns
        # A column that the table does not list belongs to another table of the same file.
        if columns is None or matches(name, columns):
            labels |= {name, ours}
        for rule in self.plan.derive.values():
            patterns = rule.dates if only_dates else rule.patterns
            if rule.count == table and not only_dates:
                patterns = (*patterns, *rule.where, *rule.counted)
            if any(matches(label, patterns) for label in labels):
                return True
        first = self.plan.first_dose
        here = first is not None and first.table in (None, table)
        return first is not None and here and first.column in (name, ours)

    # A birth date is read to derive an age, and not kept; other tables of the same file have that
    # column, too.
    def _is_counted_from(self, name: str) -> bool:
        labels = [name, *(f"{table}.{name}" for table in self.plan.list_tables())]
        dates = [date for rule in self.plan.derive.values() for date in rule.dates]
        return any(matches(label, dates) for label in labels)

    def _rename(self, section: TableSection, name: str) -> str:
        for words in (section.rename, self.plan.rename):
            ours = translate_name(name, words)
            if ours != name or name in words:
                if words is self.plan.rename:
                    self.renamed |= {theirs for theirs in words if matches(name, (theirs,))}
                return ours
        return name

    def _find_patient(self, section: TableSection, names: Sequence[str]) -> str | None:
        if section.kind == "alone":
            return None
        if section.patient is not None:
            return section.patient if section.patient in names else None
        return next((name for name in names if self._rename(section, name) == PATIENT), None)

    def _check_present(
        self, table: str, section: TableSection, names: Sequence[str]
    ) -> list[Problem]:
        wanted = [*section.keys, *section.rename]
        message = "the mapping names it, but no column has it"
        return [
            Problem(f"{table}.{name}", "missing_column", message)
            for name in dict.fromkeys(wanted)
            if not any(matches(column, (name,)) for column in names)
        ]

    # What becomes of a column: it is read, refused as unknown, or dropped. One that is dropped, or
    # read but to be checked, is refused if its name is that of a direct identifier.
    def _judge(
        self, table: str, section: TableSection, name: str, ours: str
    ) -> Literal["read", "refuse", "drop", "check"]:
        source = self.is_source(table, name, ours)
        renamed, listed = ours != name, section.columns is None or matches(name, section.columns)
        ignored = matches(name, (*section.ignore, *self.plan.ignore))
        if source and not ignored:
            return "read" if self.is_source(table, name, ours, only_dates=True) else "check"
        derived = ours in self.plan.derive
        if ignored or derived or section.kind == "entry" or not (listed or renamed):
            return "drop"
        if ours in self.known:
            return "read"
        return "drop" if self.ignore_unknown else "refuse"

    # All names of a table at once: hints cost time, and are for the first few.
    def _check_strange(self, table: str, strange: list[str], dropped: list[str]) -> list[Problem]:
        unnamed = 'a column has no name: rename it (`"" = "patient_id"`) or ignore it'
        problems = check_names(filter(None, strange), self.dictionary, self.known)
        problems += [Problem("", "unknown", unnamed)] if "" in strange else []
        named = [name for name in dropped if name and not self._is_counted_from(name)]
        problems += [
            problem
            for problem in check_names(named, self.dictionary, self.known)
            if problem.rule == "identifier"
        ]
        return [replace(problem, field=f"{table}.{problem.field}") for problem in problems]


def _check_targets(table: str, fields: Mapping[str, str]) -> list[Problem]:
    counts = Counter(fields.values())
    return [
        Problem(f"{table}.{name}", "duplicate_column", "two columns become this field")
        for name in sorted(name for name, count in counts.items() if count > 1)
    ]


def _check_nameless(table: str, names: Sequence[str], used: Sequence[str]) -> list[Problem]:
    if "" in used and list(names).count("") > 1:
        return [Problem(f"{table}.", "duplicate_column", "more than one column has no name")]
    return []
