"""The report of an intake, as one HTML file: what was read, used and left aside, and why."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment

from training.findings.intake import MIN_SHOWN, FieldCount, IntakeFacts
from training.report.layout import Cell, Table, make_table
from training.report.numbers import NOTHING, show_count, show_plain
from training.report.rendering import make_environment, render_page

_FEW = f"fewer than {MIN_SHOWN}, or hidden"


def render_intake(facts: IntakeFacts) -> str:
    """Render the report as one HTML file without script, network or other files."""
    return render_page(_open_templates(), "intake.html", facts=facts, tables=tabulate_intake(facts))


@cache
def _open_templates() -> Environment:
    return make_environment(show_count=show_count, min_shown=MIN_SHOWN)


def tabulate_intake(facts: IntakeFacts) -> dict[str, Table | None]:
    """Make every table of the report, by the name that the template uses."""
    account = facts.account
    return {
        "files": make_table(
            "Rows of each export",
            ["Table", "File", "Rows"],
            (
                [table["table"], file, show_count(rows)]
                for table in account["tables"]
                for file, rows in table["files"].items()
            ),
        ),
        "rows": make_table(
            "Rows, patients and courses: those read are those used and those left aside",
            ["Of", "Step", "Number", "Reason"],
            _list_account(account),
            wordy=True,
        ),
        "notes": make_table(
            "Worth knowing, although nothing was left aside",
            ["Table", "Step", "Number", "What"],
            ([n["table"], n["step"], show_count(n["count"]), n["what"]] for n in account["notes"]),
            wordy=True,
        ),
        "derived": make_table(
            "Derived fields",
            ["Field", "Rule", "Courses", "Missing"],
            (
                [name, made["rule"], show_count(made["courses"]), show_count(made["missing"])]
                for name, made in account["derived"].items()
            ),
        ),
        "fields": make_table(
            "Fields of the cohort; ranges are rounded outward",
            ["Field", "Recorded", "Missing", "Range or words", "To look at"],
            (_describe_field(count) for count in facts.fields),
            wordy=True,
            hints=[count.label for count in facts.fields],
        ),
    }


def _list_account(account: Mapping[str, Any]) -> Iterator[list[Cell]]:
    parts = [(f"rows of {table['table']}", table, "rows") for table in account["tables"]]
    parts += [(unit, account[unit], unit) for unit in ("patients", "courses")]
    for name, part, unit in parts:
        yield [name, "read", show_count(part["read"]), NOTHING]
        for entry in part["aside"]:
            yield [name, f"left aside: {entry['step']}", show_count(entry[unit]), entry["reason"]]
        yield [name, "used", show_count(part["used"]), NOTHING]


def _describe_field(count: FieldCount) -> list[Cell]:
    words = [f"{word} {_FEW if n is None else f'{n:,}'}" for word, n in count.words.items()]
    described: Cell = "; ".join(words) or NOTHING
    if count.low is not None and count.high is not None:
        described = show_plain(count.low) + " to " + show_plain(count.high)
    numbers = (_FEW if n is None else show_count(n) for n in (count.filled, count.missing))
    return [count.field, *numbers, described, "; ".join(count.flags) or NOTHING]
