"""Reference pages, written from the registries and the commands, so that they cannot drift."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from experiments.benchmarks.report import format_table
from features.base.errors import KetamineResponseError
from features.base.files import write_bytes_atomic
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Field, Group
from features.dictionary.horizon import HORIZONS
from features.dictionary.instrument import Instrument
from features.records.eligibility import RULES, Check, Rule
from features.records.mapping import UNITS
from training.candidates.evidence.published import BASE_RATES, EFFECTS, Effect
from training.candidates.registry import ENTRY_POINTS, list_candidates
from training.findings.criteria import RULES as GATE_RULES
from training.study.parts import GatePart

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
_WRITTEN = "<!-- Written by `python -m experiments reference`. Change the code, not this page. -->"
# Fixed, so that the page does not depend on the terminal.
_HELP_WIDTH = 96
_EFFECT_HEADING = ["feature", "for", "first day", "later", "spread", "sign held", "source"]
_FOLLOWUP_RULES = (
    "In cohorts, all of them. In an assessment, those before the last horizon: early scores, which "
    "only update outcomes read. An instrument that asks about more days than a horizon has lacks "
    "that horizon."
)


def write_pages(experiments: typer.Typer) -> list[Path]:
    """Write every page; return those that were stale.

    Parameters
    ----------
    experiments
        This package's own commands, which this module may not import: they import it.
    """
    stale = find_stale(experiments)
    texts = _write_texts(experiments)
    for path in stale:
        write_bytes_atomic(path, texts[path.name].encode())
    return stale


def check_pages(experiments: typer.Typer) -> None:
    """Check that the pages are what the code says.

    Raises
    ------
    KetamineResponseError
        If any is stale.
    """
    if stale := find_stale(experiments):
        names = ", ".join(path.name for path in stale)
        raise KetamineResponseError(f"stale reference pages: {names}; `make fix` writes them")


def find_stale(experiments: typer.Typer) -> list[Path]:
    """List the pages whose text is not what the code gives."""
    texts = _write_texts(experiments).items()
    paths = ((FOLDER / name, text) for name, text in texts)
    return [path for path, text in paths if not path.is_file() or path.read_text("utf-8") != text]


def _join_page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", _WRITTEN, *parts]) + "\n"


def _describe_fields() -> str:
    intro = (
        "One name everywhere: cohort column, JSON key, form field. Only `patient_id`, `condition` "
        "and one baseline total (or its items) are required; everything else may be missing."
    )
    parts, known = [intro], load_dictionary()
    for group in Group:
        if group not in (Group.ITEM, Group.FOLLOWUP):
            parts.append(f"## {group.value.capitalize()}")
            rows = [_describe_field(field) for field in known.list_fields(group)]
            parts.append(format_table(["field", "what", "accepted", "LOINC", "notes"], rows))
    items = ", ".join(
        f"`{instrument.item_fields[0]}` to `{instrument.item_fields[-1]}`"
        for instrument in known.instruments.values()
    )
    parts += [f"## Items\n\n{items}. A total that is missing is derived from its items."]
    followups = ", ".join(
        f"`{field.name}`" for field in known.followups.values() if field.instrument == "madrs"
    )
    parts += [f"## Follow-ups\n\n`<instrument>_<horizon>`: {followups} … {_FOLLOWUP_RULES}"]
    rows = [[f"`{ours}`", ", ".join(theirs)] for ours, theirs in UNITS.items()]
    parts += ["## Units that a mapping can convert", format_table(["ours", "from"], rows)]
    return _join_page("Fields", *parts)


def _describe_field(field: Field) -> list[str]:
    name = f"`{field.name}`" + (" (required)" if field.required else "")
    notes = "; ".join(part for part in (field.help, field.source) if part)
    return [name, field.label, field.allowed, field.loinc or "", notes]


def _describe_evidence() -> str:
    effects = [_describe_effect(effect) for effect in EFFECTS.values()]
    rates = [
        [
            rate.condition,
            f"`{rate.horizon}`",
            rate.route or "others",
            f"{rate.share:.0%}",
            rate.source,
        ]
        for rate in BASE_RATES
    ]
    return _join_page(
        "Published evidence",
        "The prior of `evidence_prior`. Sizes are log-odds of response, published ones shrunk by "
        "50 to 75% because few have been replicated; the spread is the standard deviation of a "
        "size between clinics. How far all of it holds is estimated. A figure marked *recalled* "
        "is from memory, unverified; *chosen* is an assumption.",
        "## Effects",
        format_table(_EFFECT_HEADING, effects),
        "## Base rates of response",
        format_table(["condition", "horizon", "route", "share", "source"], rates),
    )


def _describe_candidates() -> str:
    rows = [
        [
            f"`{name}`",
            kind.label,
            (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "),
        ]
        for name, kind in list_candidates().items()
    ]
    return _join_page(
        "Candidates",
        "The kinds of model that a study compares, in the order of preference: of those within one "
        "standard error of the best, the first is chosen. A study that names none compares all.",
        format_table(["candidate", "in reports", "what it is"], rows),
        "## A candidate of your own",
        "An installed package adds one by an entry point; nothing here has to change:",
        f'```toml\n[project.entry-points."{ENTRY_POINTS}"]\n'
        'my_candidate = "my_package.my_module:MyCandidate"\n```',
        "The class is a subclass of `training.candidates.base.Candidate`. It says `name`, `label` "
        "and `colour` (`#rrggbb`, in figures), and defines `fit` and `refit`, which turn courses "
        "into an equation. Optional: `preference` (lower is preferred; 90 unless it says so), "
        "`needs_outcomes = False` if it can be fitted before any outcome is known, and "
        "`has_posterior = True` if its fits have a posterior.",
    )


def _describe_effect(effect: Effect) -> list[str]:
    sizes = [f"{size:+.2f}" for size in (effect.first_day, effect.later)]
    source = effect.source + (" (recalled)" if effect.recalled else "")
    held, spread = "yes" if effect.agreed else "", f"{effect.spread:.2f}"
    return [f"`{effect.feature}`", f"{effect.unit:g} more", *sizes, spread, held, source]


def _describe_instruments() -> str:
    rows = [
        _describe_instrument(instrument) for instrument in load_dictionary().instruments.values()
    ]
    heading = ["key", "name", "range", "bands", "recall, days", "response", "remission", "source"]
    horizons = [
        [f"`{h.key}`", f"{h.earliest_days:g} to {h.latest_days:g}", h.label]
        for h in HORIZONS.values()
    ]
    return _join_page(
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


def _describe_instrument(instrument: Instrument) -> list[str]:
    bands = ", ".join(f"{label} {low} to {high}" for label, low, high in instrument.band_ranges)
    recall = f"{instrument.recall_days}"
    if instrument.shortest_recall != instrument.recall_days:
        recall += f" (shortest {instrument.shortest_recall})"
    remission = (
        "none"
        if instrument.remission_at_most is None
        else f"at most {instrument.remission_at_most}"
    )
    response = f"{instrument.response_percent}%"
    return [
        f"`{instrument.key}`",
        instrument.name,
        f"0 to {instrument.high}",
        bands,
        recall,
        response,
        remission,
        instrument.source,
    ]


def _describe_eligibility() -> str:
    rows = [[f"`{r.name}`", r.action, _describe_rule(r), r.text, r.source] for r in RULES]
    return _join_page(
        "Eligibility rules",
        "They stand apart from the probability and never change it. `refuse` stops the estimate, "
        "`urgent` adds a safety notice, `warn` informs; a missing field is reported "
        "as `not_screened` for rules that refuse or are urgent.",
        format_table(["rule", "action", "applies when", "text", "source"], rows),
    )


def _describe_rule(rule: Rule) -> str:
    word = " and " if rule.needs_all else " or "
    return word.join(_describe_check(check) for check in rule.tests)


def _describe_check(check: Check) -> str:
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
    return _join_page(
        "Criteria of the gate",
        "What [the gate](../explanation/gate.md) requires before a model becomes champion, with "
        "the bounds that apply unless a study sets others in [`[gate]`](studies.md).",
        format_table(["criterion", "figure", "default", "reason"], rows),
    )


def _describe_commands(experiments: typer.Typer) -> str:
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
        parts += list(_list_help(f"python -m {name}", typer.main.get_command(app)))
    return _join_page("Commands", *parts)


def _list_help(path: str, group: Any) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _list_help(f"{path} {name}", command)
            continue
        context = command.make_context(
            f"{path} {name}", [], resilient_parsing=True, max_content_width=_HELP_WIDTH,
            terminal_width=_HELP_WIDTH,
        )  # fmt: skip
        yield f"## `{path} {name}`\n\n```text\n{command.get_help(context)}\n```"


def _write_texts(experiments: typer.Typer) -> dict[str, str]:
    return {
        "candidates.md": _describe_candidates(),
        "commands.md": _describe_commands(experiments),
        "eligibility.md": _describe_eligibility(),
        "fields.md": _describe_fields(),
        "instruments.md": _describe_instruments(),
        "evidence.md": _describe_evidence(),
        "gate.md": describe_gate_criteria(),
    }
