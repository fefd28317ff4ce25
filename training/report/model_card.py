"""The model card of a registered version, for people (Markdown) and for machines (JSON)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from features.dictionary.dictionary import Dictionary
from features.model.card import SIMULATED_NOTE, Measure, ModelCard, StudiedRange
from training.findings.findings import (
    Findings,
    Performance,
)
from training.findings.format import format_measure, format_table
from training.findings.gate import format_gate
from training.measures.subgroups import Subgroup
from training.registry.reference import Reference
from training.registry.registry import Registry
from training.report.markdown import count_courses, label_candidate

DISCRIMINATION = {
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "scaled_brier": "scaled Brier",
}
CALIBRATION = {
    "ratio": "observed over expected",
    "intercept": "intercept",
    "slope": "slope",
    "ici": "ICI",
}
WITHOUT_FINDINGS = (
    "This version was registered without findings of validation. All that is known of its "
    "performance is the cross-validation below."
)
NOT_FOR = (
    "Whether ketamine works better than something else: an estimate is prognosis if treated.",
    "Patients beyond the studied ranges below: the service gives them no estimate.",
    "Deciding without a clinician, or in place of screening for contraindications.",
)


@dataclass(frozen=True)
class RegisteredCard:
    """What is known of one registered version.

    Parameters
    ----------
    aliases
        Such as ``champion``, at the moment of reading.
    findings
        None for a version that was registered without.
    """

    version: str
    aliases: tuple[str, ...]
    digest: str
    card: ModelCard
    findings: Findings | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.card.name,
            "version": self.version,
            "aliases": list(self.aliases),
            "digest": self.digest,
            "data": self.card.data,
            "card": self.card.model_dump(mode="json"),
            "findings": None if self.findings is None else self.findings.model_dump(mode="json"),
        }


def read_registered_card(registry: Registry, reference: Reference) -> RegisteredCard:
    """Read the card of a version, checked against its digests.

    Raises
    ------
    UnavailableError
        If there is no such version.
    ArtifactError
        If it, or what was found of it, is damaged.
    """
    name, version = reference.name, registry.find_version(reference)
    model = registry.load_version(name, version).model
    findings = registry.read_findings(name, version)
    aliases = registry.list_aliases(name, version)
    return RegisteredCard(version, aliases, model.digest, model.card, findings)


def write_model_card(registered: RegisteredCard) -> str:
    """Write the whole card in Markdown."""
    card, findings = registered.card, registered.findings
    parts = [
        f"# {card.name}, version {registered.version}",
        *([f"**{SIMULATED_NOTE}**"] if card.simulated else []),
        *(f"**{alarm}**" for alarm in (findings.alarms if findings else ())),
        f"**{findings.verdict if findings else card.verdict}**",
        "## What it is",
        *describe_model(registered),
        "## For whom, and what not for",
        *describe_use(card),
        "## Population and studied ranges",
        count_courses(card.population),
        list_items(describe_range(one, card.dictionary) for one in card.ranges),
        "## Performance",
        *(describe_findings(findings) if findings else describe_unvalidated(card)),
        "## Versions",
        list_items(describe_versions(registered)),
    ]
    return "\n\n".join(parts) + "\n"


def list_items(items: Iterator[str] | Sequence[str]) -> str:
    """List some lines as Markdown."""
    return "\n".join(f"- {item}" for item in items)


def describe_model(registered: RegisteredCard) -> Iterator[str]:
    """Say what the model is and what it says."""
    card = registered.card
    kind = label_candidate(card.candidate)
    aliases = " and ".join(registered.aliases) or "neither champion nor challenger"
    yield f"A model of the kind *{kind}* (`{card.candidate}`); now {aliases}."
    yield f"It estimates the probability of: {card.outcome.definition}."
    yield f"Intervals: {card.interval.method}. An estimate is {card.note}."
    fields = dict.fromkeys(one.field for one in card.features)
    sites = f" It knows {len(card.sites)} sites by name." if card.sites else ""
    yield f"It reads {', '.join(f'`{name}`' for name in fields) or 'no field'}.{sites}"


def describe_use(card: ModelCard) -> Iterator[str]:
    """Say for whom the model is, and what it must not be used for."""
    begun = card.parse_outcome().checkpoint
    when = f"after {begun.name} of a course of treatment" if begun else "before the first dose"
    conditions = ", ".join(card.conditions)
    yield f"For clinicians who treat {conditions}, about patients like those studied, {when}."
    simulated = ("Care of any patient: it was learned from simulated ones.",)
    yield "Not for:"
    yield list_items([*(simulated if card.simulated else ()), *NOT_FOR])


def describe_range(studied: StudiedRange, dictionary: Dictionary) -> str:
    """Describe the studied values of one field.

    Examples
    --------
    >>> from features.dictionary.dictionary import load_dictionary
    >>> describe_range(StudiedRange(field="age", low=20, high=70), load_dictionary())
    'Age (`age`): 20 to 70 years'
    """
    field = dictionary.fields[studied.field]
    values = ", ".join(studied.categories)
    if studied.low is not None and studied.high is not None:
        values = f"{studied.low:g} to {studied.high:g} {field.unit}".strip()
    return f"{field.label} (`{field.name}`): {values}"


def describe_unvalidated(card: ModelCard) -> Iterator[str]:
    """Describe the performance of a version without findings."""
    yield WITHOUT_FINDINGS
    yield f"Validation: {card.validation}."
    measures = card.performance.get(card.candidate, {})
    labels = (DISCRIMINATION | CALIBRATION).items()
    rows = [[label, format_measure(measures[key])] for key, label in labels if key in measures]
    yield format_table([["measure", "value"], *rows])


def describe_findings(findings: Findings) -> Iterator[str]:
    """Describe what validation found."""
    counted = f"{findings.courses} courses, {findings.events} with the outcome"
    yield f"Tested on {findings.cohort}: {counted}."
    done = [one for one in findings.performance if one.measures]
    yield list_items([describe_way(one) for one in findings.performance])
    yield tabulate(done, DISCRIMINATION)
    yield "## Calibration"
    yield "A ratio of 1, an intercept of 0 and a slope of 1 are perfect; so is an ICI of 0."
    yield tabulate(done, CALIBRATION)
    yield from describe_stability(findings)
    yield "## Subgroups"
    yield from describe_subgroups(findings.subgroups)
    yield "## Limitations"
    yield list_items(findings.limitations) if findings.limitations else "None were noted."
    yield "## Gate"
    yield format_gate(findings.gate) if findings.gate else "It has not been judged."


def describe_way(found: Performance) -> str:
    """Describe one way of testing, or why it was not done."""
    if not found.measures:
        return f"{found.way}: not done. {found.because}"
    return f"{found.way}: {found.method}; {found.courses} courses, {found.events} with the outcome"


def tabulate(done: Sequence[Performance], measures: dict[str, str]) -> str:
    """Tabulate measures by way of testing, with their intervals."""
    nothing = Measure(value=None)
    rows = [
        [one.way, *(format_measure(one.measures.get(key, nothing)) for key in measures)]
        for one in done
    ]
    return format_table([["tested", *measures.values()], *rows])


def describe_stability(findings: Findings) -> Iterator[str]:
    """Say how far other patients would have led to other estimates, and if there were enough."""
    found = findings.instability
    if found is not None and found.error is not None:
        yield (
            f"Estimates of {found.versions} versions ({found.method}) differ from the model's by "
            f"{100 * found.error:.1f} percentage points on average."
        )
    if findings.sample_size is not None:
        yield findings.sample_size.verdict


def describe_subgroups(rows: Sequence[Subgroup]) -> Iterator[str]:
    """Describe performance by subgroup; small ones stay hidden."""
    if not rows:
        yield "None was tabulated."
        return
    table = [["group", "courses", "observed over expected", "AUC", "note"]]
    nothing = Measure(value=None)
    for row in rows:
        courses = "hidden" if row.courses is None else str(row.courses)
        found = [format_measure(one or nothing, 2) for one in (row.ratio, row.auc)]
        table.append([f"{row.grouping}: {row.name}", courses, *found, row.note])
    yield format_table(table)


def describe_versions(registered: RegisteredCard) -> Iterator[str]:
    """Describe what the version rests on."""
    card = registered.card
    yield f"study `{card.study}`, seed {card.seed}, {card.created}"
    yield f"question: {card.question}"
    yield f"model digest `{registered.digest}`"
    yield f"cohort digest `{card.data_digest}`"
    yield ", ".join(f"{name} {found}" for name, found in card.versions.items())
