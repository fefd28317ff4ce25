"""Reference pages, written from the registries and the commands, so that they cannot drift."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import typer

from features.base.errors import KetamineResponseError
from features.base.files import write_bytes_whole
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Field, Group
from features.dictionary.horizon import HORIZONS
from features.dictionary.instrument import Instrument
from features.records.eligibility import RULES, Check, Rule
from features.records.mapping import UNITS
from training.candidates.evidence.published import BASE_RATES, EFFECTS, Effect
from training.findings.criteria import RULES as GATE_RULES
from training.study.parts import GatePart

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
WRITTEN = "<!-- Written by `python -m experiments reference`. Change the code, not this page. -->"
HELP_WIDTH = 96
EFFECT_HEADING = ["feature", "for", "first day", "later", "spread", "sign held", "source"]
FOLLOWUP_RULES = (
    "In cohorts, all of them. In an assessment, those after which another horizon comes: early "
    "scores, which only update outcomes read. An instrument that asks about more days than the "
    "horizon has does not have it."
)


def write_pages() -> list[Path]:
    """Write every page; return those that were not up to date."""
    stale = find_stale()
    for path in stale:
        write_bytes_whole(path, PAGES[path.name]().encode())
    return stale


def check_pages() -> None:
    """Refuse pages that are not what the code says.

    Raises
    ------
    KetamineResponseError
        If any is stale.
    """
    if stale := find_stale():
        names = ", ".join(path.name for path in stale)
        raise KetamineResponseError(f"stale reference pages: {names}; `make fix` writes them")


def find_stale() -> list[Path]:
    """Find pages whose text is not what the code gives."""
    paths = [FOLDER / name for name in PAGES]
    return [
        path
        for path in paths
        if not path.is_file() or path.read_text("utf-8") != PAGES[path.name]()
    ]


def format_table(heading: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def join_page(title: str, *parts: str) -> str:
    """Join a page's parts."""
    return "\n\n".join([f"# {title}", WRITTEN, *parts]) + "\n"


def describe_fields() -> str:
    """Write the data dictionary."""
    intro = (
        "One name everywhere: cohort column, JSON key, form field. Only `patient_id`, `condition` "
        "and one baseline total (or its items) are required; everything else may be missing."
    )
    parts, known = [intro], load_dictionary()
    for group in Group:
        if group not in (Group.ITEM, Group.FOLLOWUP):
            parts.append(f"## {group.value.capitalize()}")
            rows = [describe_field(field) for field in known.list_fields(group)]
            parts.append(format_table(["field", "what", "accepted", "LOINC", "notes"], rows))
    items = ", ".join(
        f"`{one.item_fields[0]}` to `{one.item_fields[-1]}`" for one in known.instruments.values()
    )
    parts += [f"## Items\n\n{items}. A total that is missing is derived from its items."]
    followups = ", ".join(
        f"`{field.name}`" for field in known.followups.values() if field.instrument == "madrs"
    )
    parts += [f"## Follow-ups\n\n`<instrument>_<horizon>`: {followups} … {FOLLOWUP_RULES}"]
    rows = [[f"`{ours}`", ", ".join(theirs)] for ours, theirs in UNITS.items()]
    parts += ["## Units that a mapping can convert", format_table(["ours", "from"], rows)]
    return join_page("Fields", *parts)


def describe_field(field: Field) -> list[str]:
    """Describe one field as a table's row."""
    name = f"`{field.name}`" + (" (required)" if field.required else "")
    notes = "; ".join(part for part in (field.help, field.source) if part)
    return [name, field.label, field.allowed, field.loinc or "", notes]


def describe_evidence() -> str:
    """Write what the literature says, as the evidence candidate starts from it."""
    effects = [describe_effect(effect) for effect in EFFECTS.values()]
    rates = [
        [one.condition, f"`{one.horizon}`", one.route or "others", f"{one.share:.0%}", one.source]
        for one in BASE_RATES
    ]
    return join_page(
        "Published evidence",
        "What `evidence_prior` believes before it has seen a patient. Sizes are log-odds of "
        "response, published ones shrunk by 50 to 75 % because few have been replicated; the "
        "spread is the standard deviation of what a size may be at one clinic. How far all of it "
        "holds is learned. A figure marked *recalled* was not seen in a source; *chosen* is "
        "nobody's finding.",
        "## Effects",
        format_table(EFFECT_HEADING, effects),
        "## Base rates of response",
        format_table(["condition", "horizon", "route", "share", "source"], rates),
    )


def describe_effect(effect: Effect) -> list[str]:
    """Describe one effect as a table's row."""
    sizes = [f"{size:+.2f}" for size in (effect.first_day, effect.later)]
    source = effect.source + (" (recalled)" if effect.recalled else "")
    held, spread = "yes" if effect.agreed else "", f"{effect.spread:.2f}"
    return [f"`{effect.feature}`", f"{effect.unit:g} more", *sizes, spread, held, source]


def describe_instruments() -> str:
    """Write the instrument registry."""
    rows = [describe_instrument(one) for one in load_dictionary().instruments.values()]
    heading = ["key", "name", "range", "bands", "recall, days", "response", "remission", "source"]
    horizons = [
        [f"`{h.key}`", f"{h.earliest_days:g} to {h.latest_days:g}", h.label]
        for h in HORIZONS.values()
    ]
    return join_page(
        "Instruments, horizons and outcomes",
        "An outcome is `instrument.horizon.criterion`, e.g. `phq9.acute.response`. Response is a "
        "fall from baseline, judged on whole numbers. An instrument that asks about more days "
        "than the horizon has is refused; the shortest validated recall counts. An update outcome "
        "names its checkpoint, `phq9.week12.response.after-acute`; its horizon must begin and end "
        "after the checkpoint.",
        format_table(heading, rows),
        "## Horizons",
        format_table(["key", "days after the first dose", "meaning"], horizons),
    )


def describe_instrument(one: Instrument) -> list[str]:
    """Describe one instrument as a table's row."""
    bands = ", ".join(f"{label} {low} to {high}" for label, low, high in one.band_ranges)
    recall = f"{one.recall_days}"
    if one.shortest_recall != one.recall_days:
        recall += f" (shortest {one.shortest_recall})"
    remission = "none" if one.remission_at_most is None else f"at most {one.remission_at_most}"
    response = f"{one.response_percent} %"
    return [
        f"`{one.key}`",
        one.name,
        f"0 to {one.high}",
        bands,
        recall,
        response,
        remission,
        one.source,
    ]


def describe_eligibility() -> str:
    """Write the eligibility rules."""
    rows = [[f"`{r.name}`", r.action, describe_rule(r), r.text, r.source] for r in RULES]
    return join_page(
        "Eligibility rules",
        "They stand apart from the probability and never change it. `refuse` stops the estimate, "
        "`urgent` adds a safety notice, `warn` informs; a field that nobody filled in is reported "
        "as `not_screened` for rules that refuse or are urgent.",
        format_table(["rule", "action", "applies when", "text", "source"], rows),
    )


def describe_rule(rule: Rule) -> str:
    """Describe when a rule applies."""
    word = " and " if rule.needs_all else " or "
    return word.join(describe_check(check) for check in rule.tests)


def describe_check(check: Check) -> str:
    """Describe one comparison."""
    field = load_dictionary().fields[check.field]
    categories = field.categories
    value = categories[int(check.value)] if categories else f"{check.value:g}"
    signs = {"is": "is", "from": "≥", "above": ">", "below": "<"}
    shown = "true" if field.kind == "flag" else value
    return f"`{check.field}` {signs[check.comparison]} {shown}"


def describe_gate_criteria() -> str:
    """Write the criteria of the gate, with the bounds that hold if a study sets none."""
    bounds = dict(GatePart())
    rows = [
        [
            f"`{rule.name}`",
            rule.figure.format(**bounds),
            rule.required.format(**bounds),
            rule.purpose,
        ]
        for rule in GATE_RULES
    ]
    return join_page(
        "Criteria of the gate",
        "What [the gate](../explanation/gate.md) requires before a model becomes champion, with "
        "the bounds that apply unless a study sets others in [`[gate]`](studies.md).",
        format_table(["criterion", "figure", "default", "reason"], rows),
    )


def describe_commands() -> str:
    """Write every command's help."""
    from experiments.__main__ import app as experiments
    from serving.__main__ import app as serving
    from training.__main__ import app as training

    parts = [
        "Every command takes `--help`. Exit codes: 0 done, 1 failed, 2 bad usage or input, 3 done "
        "with some rows rejected. Results go to stdout, everything else to stderr. Data and runs "
        "live in `KETAMINE_RESPONSE_HOME` (default `./.ketamine-response`); "
        "`MLFLOW_TRACKING_URI` names a team's MLflow server instead, and "
        "`KETAMINE_RESPONSE_DATABASE_URL` a PostgreSQL for keys and audit."
    ]
    for name, app in (("experiments", experiments), ("training", training), ("serving", serving)):
        parts += list(list_help(f"python -m {name}", typer.main.get_command(app)))
    return join_page("Commands", *parts)


def list_help(path: str, group: Any) -> Iterator[str]:
    """List the help of each command of a group, and of the groups in it."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from list_help(f"{path} {name}", command)
            continue
        context = command.make_context(
            f"{path} {name}", [], resilient_parsing=True, max_content_width=HELP_WIDTH,
            terminal_width=HELP_WIDTH,
        )  # fmt: skip
        yield f"## `{path} {name}`\n\n```text\n{command.get_help(context)}\n```"


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "commands.md": describe_commands,
        "eligibility.md": describe_eligibility,
        "fields.md": describe_fields,
        "instruments.md": describe_instruments,
        "evidence.md": describe_evidence,
        "gate.md": describe_gate_criteria,
    }
)
