"""``python -m training intake``: from a clinic's exports to a cohort, with a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.base.commands import say
from features.base.files import write_bytes_atomic
from features.base.outputs import check_outputs
from features.dictionary.dictionary import load_dictionary
from features.records.cohort import read_intake
from features.records.mapping import read_mapping
from features.records.writing import check_ending, make_cohort_table, write_table_atomic
from training.findings.intake import IntakeFacts, describe_intake, leave_incomplete
from training.report.intake import render_intake, tabulate_intake
from training.report.layout import write_table

_REPORT_NAMES = ("intake.html", "intake.json")
_SIMULATED = "**SIMULATED DATA: these patients do not exist.**"


@dataclass(frozen=True)
class IntakeOrder:
    """What an intake reads and writes, and its options; paths are as the user gave them."""

    exports: Sequence[Path]
    out: Path
    mapping: Path | None = None
    dictionary: Path | None = None
    # A folder, or one of the two files that are written.
    report: Path | None = None
    incomplete: bool = False
    ignore_unknown: bool = False

    def list_reports(self) -> list[Path]:
        """List the files of the report; none if no report is wanted."""
        if self.report is None:
            return []
        if self.report.suffix in (".html", ".json") and not self.report.is_dir():
            return [self.report.with_suffix(ending) for ending in (".html", ".json")]
        return [self.report / name for name in _REPORT_NAMES]

    def check(self) -> None:
        """Raise InputError if anything that is read would be overwritten, before any work."""
        check_ending(self.out)
        inputs = [*(("an export", path) for path in self.exports), ("--mapping", self.mapping)]
        inputs += [("--dictionary", self.dictionary)]
        outputs = [("--out", self.out), *(("--report", path) for path in self.list_reports())]
        check_outputs(outputs, inputs)


def take_in(order: IntakeOrder) -> IntakeFacts:
    """Read exports, write the cohort and the report, and describe both.

    Raises
    ------
    InputError
        If an export, the mapping or a row breaks a rule; nothing has been written by then.
    """
    order.check()
    dictionary = load_dictionary(order.dictionary)
    mapper = read_mapping(order.mapping, dictionary)
    say("reading the exports")
    read = read_intake(order.exports, mapper, order.ignore_unknown, dictionary, order.incomplete)
    kept, account = leave_incomplete(*read)
    facts = describe_intake(
        kept,
        account.as_dict(),
        tuple(path.name for path in order.exports),
        None if order.mapping is None else order.mapping.name,
        order.out.name,
    )
    write_table_atomic(make_cohort_table(kept), order.out)
    if order.report is not None:
        texts = render_intake(facts), facts.model_dump_json(indent=1) + "\n"
        for path, text in zip(order.list_reports(), texts, strict=True):
            write_bytes_atomic(path, text.encode())
    return facts


def summarise_intake(facts: IntakeFacts) -> str:
    """Describe in Markdown what was read, used and left aside."""
    tables = tabulate_intake(facts)
    shown = (tables[name] for name in ("rows", "notes", "derived"))
    at = f" at {_format_count(facts.sites, 'site')}" if facts.sites else ""
    parts = [
        *([_SIMULATED] if facts.simulated else []),
        f"{facts.out}: {_format_count(facts.courses, 'course')} of "
        f"{_format_count(facts.patients, 'patient')}{at}.",
        *(write_table(table) for table in shown if table is not None),
    ]
    if facts.prorated:
        totals = ", ".join(f"{key} {count:,}" for key, count in facts.prorated.items())
        parts.append(f"Totals pro-rated, because items are blank: {totals}.")
    return "\n\n".join(parts)


def _format_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
