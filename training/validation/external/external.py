"""The findings of a registered model on a cohort that it never saw."""

from collections.abc import Iterator
from typing import get_args

import numpy as np

from features.model.card import ModelCard
from features.model.matrix import build_matrix
from features.records.columns import concatenate_columns
from training.findings.checklist import answer_checklist
from training.findings.findings import (
    Attrition,
    Findings,
    Performance,
    ValidationType,
)
from training.findings.gate import judge, passes
from training.study.design import number_sites
from training.study.parts import ODDS_RATIOS
from training.study.weighting import Enrolment
from training.validation.across_sites import measure_across_sites
from training.validation.attrition import ASSUMPTION, compare_baseline, vary_odds
from training.validation.description import (
    describe_calibration,
    describe_decisions,
    describe_factors,
    describe_instability,
    describe_subgroups,
    share_recorded,
)
from training.validation.development.validated import describe_performance
from training.validation.external.case_mix import describe_case_mix, describe_precision
from training.validation.external.encounter import Encounter
from training.validation.external.verdict import list_alarms, write_verdict
from training.validation.limitations import list_limitations
from training.validation.selection import describe_selection


def find_external(encounter: Encounter) -> Findings:
    """Find all that can be said of a registered model on a cohort, the gate's answer included."""
    card, selection, predictions = encounter.model.card, encounter.selection, encounter.predictions
    performance = tuple(list_performance(encounter))
    measured = next(one for one in performance if one.way == encounter.way)
    found = Findings(
        purpose="external",
        profile="full",
        card=card,
        version=encounter.version,
        verdict=write_verdict(encounter, measured.measures),
        alarms=tuple(list_alarms(encounter, measured.measures)),
        cohort=describe_selection(selection),
        courses=len(predictions.outcome),
        events=int(predictions.outcome.sum()),
        patients=len(np.unique(predictions.patients)),
        simulated=card.simulated or encounter.simulated,
        level=encounter.settings.level,
        base_rate=float(predictions.outcome.mean()),
        mean_estimate=float(predictions.probability.mean()),
        performance=performance,
        attrition=describe_missing(encounter),
        recorded=share_recorded(selection.columns, list_fields(card)),
        bounds=encounter.bounds,
        recalibration=encounter.proposal.as_facts(),
        **draw_figures(encounter),
    )
    criteria = judge(found, encounter.bounds)
    limits = (
        *describe_case_mix(card, encounter.model.equation, selection, predictions.log_odds),
        *describe_precision(measured.measures),
        *list_limitations(found),
    )
    judged = {"gate": criteria, "passed": passes(criteria), "limitations": limits}
    found = found.model_copy(update=judged)
    return found.model_copy(update={"checklist": answer_checklist(found)})


def list_fields(card: ModelCard) -> list[str]:
    """List the fields that a model reads, and those that say whom it is for."""
    site = ["site"] if card.sites else []
    named = [*(one.field for one in card.features), *site, *(one.field for one in card.ranges)]
    return list(dict.fromkeys(named))


def list_performance(encounter: Encounter) -> Iterator[Performance]:
    """List performance by the way of testing that this is, and why there are no others."""
    others = "told by the study that fitted the model"
    for way in get_args(ValidationType):
        if way == encounter.way:
            yield describe_performance(
                way, encounter.method, encounter.predictions, encounter.settings
            )
        else:
            because = "the model learned from these courses" if way == "external" else others
            yield describe_performance(way, "", None, encounter.settings, because)


def draw_figures(encounter: Encounter) -> dict[str, object]:
    """Describe all that a report draws and tabulates."""
    predictions, versions, settings = encounter.predictions, encounter.versions, encounter.settings
    rest = (predictions, encounter.way, settings, versions, predictions.outcome)
    columns, equation = encounter.selection.columns, encounter.model.equation
    sites = encounter.by_site()
    return {
        "calibration": describe_calibration(*rest),
        "decision": describe_decisions(*rest),
        "instability": describe_instability(
            predictions.probability,
            versions,
            "stored with it",
            settings.level,
            float(np.mean(encounter.bounds.thresholds)),
        ),
        "across_sites": None if sites is None else measure_across_sites(*sites, settings.level),
        "subgroups": describe_subgroups(
            predictions, columns, encounter.selection.target.instrument, settings.level
        ),
        "factors": describe_factors(equation, columns, encounter.model.card.interval.level),
    }


def describe_missing(encounter: Encounter) -> Attrition:
    """Describe the courses without an outcome, and what they may do to the model's calibration."""
    selection = encounter.selection
    awaiting, known = selection.awaiting, len(selection.outcome)
    told = encounter.model.equation.compute_log_odds(awaiting)[:, 0]
    ratios = ODDS_RATIOS if awaiting.size else ()
    scenarios = [vary_odds(ratio, encounter.predictions, told) for ratio in ratios]
    return Attrition(
        courses=known + awaiting.size,
        missing=awaiting.size,
        unmeasured=selection.size - known - awaiting.size,
        gaps=tuple(compare_baseline(list_enrolled(encounter))),
        effective=None,
        largest=None,
        scenarios=tuple(scenarios),
        assumption=ASSUMPTION,
    )


def list_enrolled(encounter: Encounter) -> Enrolment:
    """List the courses that could have had the outcome, with the features that the model reads."""
    selection = encounter.selection
    columns = concatenate_columns([selection.columns, selection.awaiting])
    sites, names = number_sites(columns)
    features = encounter.model.card.features
    return Enrolment(
        columns=columns,
        features=features,
        matrix=build_matrix(columns, features),
        sites=sites,
        site_names=names,
        reported=np.arange(columns.size) < len(selection.outcome),
    )
