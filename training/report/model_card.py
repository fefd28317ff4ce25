"""The model card of a registered version, for people (Markdown) and for machines (JSON)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from features.dictionary.dictionary import Dictionary
from features.model.card import SIMULATED_NOTE, ModelCard, StudiedRange
from training.candidates.registry import label_candidate
from training.findings.findings import Findings
from training.findings.format import format_measure, format_table
from training.findings.gate import format_gate
from training.findings.words import label_measure
from training.measures.performance import COMPARED
from training.measures.subgroups import Subgroup
from training.report.markdown import (
    format_validation,
    list_items,
    tabulate_measures,
    write_population,
)

_WITHOUT_FINDINGS = (
    "This version was registered without validation findings. The cross-validation below is all "
    "that is known of its performance."
)
_NOT_FOR = (
    "Whether ketamine works better than another treatment: an estimate is prognosis if treated.",
    "Patients outside the studied ranges below: the service gives them no estimate.",
    "Decisions without a clinician, or in place of screening for contraindications.",
)


@dataclass(frozen=True)
class RegisteredCard:
    """All facts about one registered version.

    Parameters
    ----------
    aliases
        Such as ``champion``, when it was read.
    findings
        None if the version was registered without findings.
    """

    version: str
    aliases: tuple[str, ...]
    digest: str
    card: ModelCard
    findings: Findings | None

    def as_dict(self) -> dict[str, Any]:
        """Return the facts for JSON."""
        return {
            "name": self.card.name,
            "version": self.version,
            "aliases": list(self.aliases),
            "digest": self.digest,
            "data": self.card.data,
            "card": self.card.model_dump(mode="json"),
            "findings": None if self.findings is None else self.findings.model_dump(mode="json"),
        }


def write_model_card(registered: RegisteredCard) -> str:
    """Write the whole card in Markdown."""
    card, findings = registered.card, registered.findings
    parts = [
        f"# {card.name}, version {registered.version}",
        # Warnings and verdict come first: many read no further.
        *([f"**{SIMULATED_NOTE}**"] if card.simulated else []),
        *(f"**{alarm}**" for alarm in (findings.alarms if findings else ())),
        f"**{findings.verdict if findings else card.verdict}**",
        "## What it is",
        *_describe_registered(registered),
        "## Intended use",
        *_describe_use(card),
        "## Population and studied ranges",
        write_population(card.population),
        list_items([_describe_range(studied, card.dictionary) for studied in card.ranges]),
        "## Performance",
        *(_describe_findings(findings) if findings else _describe_unvalidated(card)),
        "## Versions",
        list_items(_list_versions(registered)),
    ]
    return "\n\n".join(parts) + "\n"


def _describe_range(studied: StudiedRange, dictionary: Dictionary) -> str:
    """Describe the studied values of one field.

    >>> from features.dictionary.dictionary import load_dictionary
    >>> _describe_range(StudiedRange(field="age", low=20, high=70), load_dictionary())
    'Age (`age`): 20 to 70 years'
    """
    field = dictionary.fields[studied.field]
    values = ", ".join(studied.categories)
    if studied.low is not None and studied.high is not None:
        values = f"{studied.low:g} to {studied.high:g} {field.unit}".strip()
    return f"{field.label} (`{field.name}`): {values}"


def _describe_registered(registered: RegisteredCard) -> Iterator[str]:
    card = registered.card
    aliases = " and ".join(registered.aliases) or "neither champion nor challenger"
    yield f"Candidate: {label_candidate(card.candidate)} (`{card.candidate}`); now {aliases}."
    yield f"It estimates the probability of: {card.outcome.definition}."
    yield f"Intervals: {card.interval.method}. An estimate is {card.note}."
    fields = dict.fromkeys(feature.field for feature in card.features)
    sites = f" It has effects of {len(card.sites)} known sites." if card.sites else ""
    yield f"Fields read: {', '.join(f'`{name}`' for name in fields) or 'none'}.{sites}"


def _describe_use(card: ModelCard) -> Iterator[str]:
    checkpoint = card.parse_outcome().checkpoint
    when = (
        f"after {checkpoint.name} of a treatment course" if checkpoint else "before the first dose"
    )
    conditions = " or ".join(card.conditions)
    yield f"For clinicians who treat {conditions}, for patients like those studied, {when}."
    yield "Not for:"
    simulated = ("Care of any patient: the model was trained on simulated patients.",)
    yield list_items([*(simulated if card.simulated else ()), *_NOT_FOR])


def _describe_unvalidated(card: ModelCard) -> Iterator[str]:
    yield _WITHOUT_FINDINGS
    yield f"Validation: {card.validation}."
    measures = card.performance.get(card.candidate, {})
    labels = {key: label_measure(key) for key in COMPARED if key in measures}
    rows = [[lb.name, format_measure(measures[key], lb.digits)] for key, lb in labels.items()]
    yield format_table([["Measure", "Value"], *rows])


def _describe_findings(findings: Findings) -> Iterator[str]:
    yield (f"Tested on {findings.cohort}: {findings.events} events in {findings.courses} courses.")
    yield list_items([format_validation(performance) for performance in findings.performance])
    if done := [performance for performance in findings.performance if performance.measures]:
        yield tabulate_measures(done)
    yield "O/E ratio and calibration slope of 1, and intercept of 0, are perfect calibration."
    yield from _describe_stability(findings)
    yield "## Subgroups"
    yield _tabulate_subgroups(findings.subgroups)
    yield "## Limitations"
    yield list_items(findings.limitations) if findings.limitations else "None are written down."
    yield "## Gate"
    yield format_gate(findings.gate) if findings.gate else "Not judged."


def _describe_stability(findings: Findings) -> Iterator[str]:
    instability = findings.instability
    if instability is not None and instability.error is not None:
        yield (
            f"Estimates of {instability.versions} bootstrap refits ({instability.method}) differ "
            f"from the model's by {100 * instability.error:.1f} percentage points on average."
        )
    if findings.sample_size is not None:
        yield findings.sample_size.verdict


def _tabulate_subgroups(rows: Sequence[Subgroup]) -> str:
    if not rows:
        return "None were tabulated."
    labels = {key: label_measure(key) for key in ("ratio", "auc")}
    table = [["Group", "Courses", *(label.name for label in labels.values()), "Note"]]
    for row in rows:
        courses = "hidden" if row.courses is None else str(row.courses)
        cells = [format_measure(getattr(row, key), lb.digits) for key, lb in labels.items()]
        table.append([f"{row.grouping}: {row.name}", courses, *cells, row.note])
    return format_table(table)


def _list_versions(registered: RegisteredCard) -> list[str]:
    card = registered.card
    return [
        f"study `{card.study}`, seed {card.seed}, {card.created}",
        f"question: {card.question}",
        f"model digest `{registered.digest}`",
        f"cohort digest `{card.data_digest}`",
        ", ".join(f"{name} {version}" for name, version in card.versions.items()),
    ]
