"""TRIPOD+AI: what a run can answer of the checklist, and why not of the rest.

Items and answers are in ``tripod.toml``, as templates over the findings.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from features.model.card import Measure
from training.findings.findings import ChecklistItem, Findings
from training.findings.format import format_percent
from training.findings.words import VALIDATION_TYPES, describe_treatment, label_measure

# What one sentence has room for; the report has every measure in its table.
_HEADLINE = ("auc", "slope", "ratio")


def answer_checklist(findings: Findings) -> tuple[ChecklistItem, ...]:
    """Answer every item from the findings, or give the reason why it has no answer.

    Returns
    -------
    tuple of ChecklistItem
        In the order of the paper: 27 items, 52 with their parts.
    """
    facts = _list_facts(findings)
    items, reasons = _read_items()
    answered = []
    for item, template in items:
        answer = template.render(facts).strip()
        reason = "" if answer else reasons[item["reason"]]
        number, section, topic = (item[key] for key in ("number", "section", "topic"))
        answered.append(
            ChecklistItem(
                number=number, section=section, topic=topic, answer=answer, because=reason
            )
        )
    return tuple(answered)


@cache
def _read_items() -> tuple[list[tuple[dict[str, str], Any]], dict[str, str]]:
    # Plain text, escaped where the report shows it.
    environment = Environment(autoescape=False, undefined=StrictUndefined)
    environment.filters |= {
        "percent": format_percent,
        "headline": _summarise_measures,
        "validation_type": lambda key: VALIDATION_TYPES[key],
        "measure_name": lambda key: label_measure(key).name,
    }
    content = tomllib.loads(Path(__file__).with_name("tripod.toml").read_text("utf-8"))
    items = [(item, environment.from_string(item.get("answer", ""))) for item in content["items"]]
    return items, content["reasons"]


def _list_facts(findings: Findings) -> dict[str, Any]:
    card = findings.card
    studied = {name: card.label_studied(name) for name in ("condition", "agent", "route")}
    external = findings.purpose == "external"
    return {
        "findings": findings,
        "card": card,
        "external": external,
        "kind": "Evaluation" if external else "Development and validation",
        "studied": studied,
        "treatment": describe_treatment(card),
        "fields_read": len({feature.field for feature in card.features}),
        "done": [validation for validation in findings.performance if validation.measures],
        "updating": _describe_updating(findings),
    }


def _describe_updating(findings: Findings) -> str:
    proposal = findings.recalibration
    if proposal is None:
        return "No recalibration is proposed." if findings.purpose == "external" else ""
    return (
        f"Recalibration proposed: slope {proposal.slope:.3f}, intercept {proposal.intercept:.3f}."
    )


def _summarise_measures(measures: Mapping[str, Measure]) -> str:
    labels = {key: label_measure(key) for key in _HEADLINE}
    return ", ".join(
        f"{label.name} {measure.value:.{label.digits}f}"
        for key, label in labels.items()
        if (measure := measures.get(key)) is not None and measure.value is not None
    )
