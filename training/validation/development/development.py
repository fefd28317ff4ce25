"""The findings of a study: everything that its report says of the model that it chose."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.model.card import ModelCard
from training.candidates.registry import label_candidate
from training.findings.comparison import Comparison, list_leakage_alarms
from training.findings.findings import (
    Attrition,
    ChampionFacts,
    Compared,
    Findings,
    ValidationType,
)
from training.study.design import Design
from training.study.study import Study
from training.validation.across_sites import measure_across_sites
from training.validation.description import (
    describe_calibration,
    describe_decisions,
    describe_factors,
    describe_instability,
    describe_sample_size,
    describe_subgroups,
    share_recorded,
)
from training.validation.development.validated import (
    Validated,
    describe_bootstrap,
    list_performance,
)
from training.validation.limitations import list_limitations


@dataclass(frozen=True)
class Development:
    """What is known of a study's chosen model.

    Parameters
    ----------
    validated
        None where nobody's outcome is known, and so nothing could be tested.
    champion
        The present one on the same courses; None where there is none.
    """

    study: Study
    design: Design
    card: ModelCard
    comparison: Comparison
    attrition: Attrition
    validated: Validated | None
    champion: ChampionFacts | None


def find_development(known: Development) -> Findings:
    """Find all that can be said of a study's chosen model; the gate is not asked yet."""
    design, card = known.design, known.card
    found = Findings(
        purpose="development",
        profile=known.study.validation.profile,
        card=card,
        verdict=known.comparison.verdict,
        cohort=describe_cohort(design),
        courses=design.size,
        events=design.events,
        patients=len(np.unique(design.patients)),
        simulated=card.simulated,
        alarms=tuple(list_alarms(known)),
        level=known.study.validation.level,
        bounds=known.study.gate,
        candidates=tuple(list_compared(known)),
        performance=(),
        base_rate=card.population.base_rate,
        attrition=known.attrition,
        recorded=share_recorded(design.described.columns, known.study.list_fields()),
        champion=known.champion,
    )
    if known.validated is not None:
        found = found.model_copy(update=describe_validated(known.validated))
    return found.model_copy(update={"limitations": tuple(list_limitations(found))})


def list_alarms(known: Development) -> list[str]:
    """List what must be known before any number is believed."""
    if known.validated is None:
        return []
    auc = known.comparison.measures[known.comparison.chosen]["auc"].value
    return list_leakage_alarms(auc, known.study.parse_outcome(), known.card.simulated)


def describe_cohort(design: Design) -> str:
    """Say whom the model was developed on."""
    people = len(np.unique(design.described.patients))
    return f"{design.described.size} courses of {people} patients, the study's own"


def list_compared(known: Development) -> Iterator[Compared]:
    """List how the candidates did, in the study's order of preference."""
    comparison, shares = known.comparison, count_picked(known)
    for name, gap in comparison.to_base.items():
        yield Compared(
            name=name,
            label=label_candidate(name),
            chosen=name == comparison.chosen,
            measures=comparison.measures[name],
            difference=gap.mean,
            error=gap.error,
            picked=shares.get(name),
        )


def count_picked(known: Development) -> dict[str, float]:
    """Count which share of re-developments chose each candidate; nothing where it was held."""
    versions = None if known.validated is None else known.validated.evidence.versions
    if versions is None or known.study.validation.profile == "quick":
        return {}
    return {
        name: versions.picked.count(name) / len(versions.picked) for name in known.study.candidates
    }


def describe_validated(validated: Validated) -> dict[str, Any]:
    """Describe what testing says: performance by every way, and what the figures draw."""
    study, design, settings = validated.study, validated.design, validated.settings
    nested, versions, sites = validated.nested, validated.versions, validated.evidence.sites
    performance = tuple(list_performance(validated))
    way: ValidationType = "nested"
    told = (nested, way, settings, versions, design.outcome)
    instrument, (low, high) = study.parse_outcome().instrument, study.gate.thresholds
    return {
        "mean_estimate": float(np.average(nested.probability, weights=nested.weights)),
        "performance": performance,
        "calibration": describe_calibration(*told),
        "decision": describe_decisions(*told),
        "instability": describe_instability(
            validated.own.probability,
            versions,
            describe_bootstrap(study),
            settings.level,
            (low + high) / 2,
        ),
        "across_sites": None
        if sites is None
        else measure_across_sites(sites, validated.evidence.names, settings.level),
        "subgroups": describe_subgroups(
            validated.averaged, design.columns, instrument, settings.level
        ),
        "sample_size": describe_sample_size(validated, performance),
        "factors": describe_factors(validated.equation, design.columns, study.uncertainty.level),
    }
