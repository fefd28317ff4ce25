"""The findings of a study about the model that it chose."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from features.model.response_model import ResponseModel
from training.candidates.published.candidate import import_equations
from training.candidates.registry import label_candidate
from training.findings.comparison import (
    Comparison,
    list_leakage_alarms,
    list_published_alarms,
)
from training.findings.findings import Compared, Findings, ValidationType
from training.study.courses import count_settled, count_unmeasured
from training.study.design import Design
from training.study.study import Study
from training.validation.attrition import Enrolment, describe_attrition
from training.validation.description import (
    Shown,
    count_prorated,
    describe_figures,
    describe_sample_size,
    share_recorded,
)
from training.validation.evidence import Evidence, describe_refits, list_performance
from training.validation.flow import describe_development_flow
from training.validation.limitations import list_limitations

# Calibration, decision curve and subgroups show the procedure's own cross-validation: of the types
# of validation that every study has, it is the least optimistic.
_SHOWN: ValidationType = "nested"


def describe_development(
    design: Design,
    model: ResponseModel,
    comparison: Comparison,
    evidence: Evidence | None,
) -> Findings:
    """Describe all that is known of a study's chosen model, before the gate judges it.

    Parameters
    ----------
    evidence
        None if no outcome is known, so that nothing could be tested.
    """
    study, card, described = design.study, model.card, design.described
    enrolled = design.enrolled or design
    enrolment = Enrolment(
        enrolled.columns,
        enrolled.features,
        enrolled.reported,
        unmeasured=count_unmeasured(design.target, design.courses),
        settled=count_settled(design.target, design.courses),
    )
    held_out = comparison.held_out.get(card.candidate)
    findings = Findings(
        purpose="development",
        profile=study.validation.profile,
        card=card,
        verdict=comparison.verdict,
        cohort=f"{described.size} courses of {len(np.unique(described.patients))} patients, "
        "the study's own",
        courses=design.size,
        events=design.events,
        patients=len(np.unique(design.patients)),
        simulated=card.simulated,
        bounds=study.gate,
        candidates=tuple(_list_compared(study, comparison, evidence)),
        performance=(),
        base_rate=card.population.base_rate,
        attrition=describe_attrition(enrolment, held_out, model.equation),
        flow=describe_development_flow(design),
        recorded=share_recorded(described.columns, study.list_fields()),
        prorated=count_prorated(described.columns),
    )
    alarms = list_published_alarms(card)
    if evidence is not None:
        auc = comparison.measures[comparison.chosen]["auc"]
        alarms += list_leakage_alarms(auc, design.target, card.simulated)
        facts = _collect_evidence_facts(design, model, evidence)
        findings = findings.model_copy(update=facts)
    findings = findings.model_copy(update={"alarms": tuple(alarms)})
    return findings.model_copy(update={"limitations": tuple(list_limitations(findings))})


def _list_compared(
    study: Study, comparison: Comparison, evidence: Evidence | None
) -> Iterator[Compared]:
    # The quick profile refits the chosen candidate alone: there is no share to state.
    refits = evidence.refits if evidence and study.validation.profile == "full" else None
    sources = {name: equation.source for name, equation in import_equations(study).items()}
    for name, gap in comparison.to_base.items():
        share = refits.selected.count(name) / len(refits.selected) if refits else None
        yield Compared(
            name=name,
            label=label_candidate(name, study),
            source=sources.get(name, ""),
            chosen=name == comparison.chosen,
            measures=comparison.measures[name],
            difference=gap.mean,
            error=gap.error,
            picked=share,
        )


def _collect_evidence_facts(
    design: Design, model: ResponseModel, evidence: Evidence
) -> dict[str, Any]:
    study = design.study
    performance = tuple(list_performance(study, evidence))
    shown = Shown(
        way=_SHOWN,
        predictions=evidence.nested,
        columns=design.columns,
        estimates=evidence.apparent.probability,
        versions=evidence.refit_probability,
        method=describe_refits(study),
        by_site=None if evidence.sites is None else (evidence.sites, evidence.site_names),
    )
    # A constant prediction has no coefficient that the data chose.
    is_constant = evidence.apparent.is_constant
    parameters = 0 if is_constant else _count_parameters(model)
    return {
        "performance": performance,
        "sample_size": describe_sample_size(parameters, design, performance),
        **describe_figures(model, shown, study.gate, evidence.settings),
    }


def _count_parameters(model: ResponseModel) -> int:
    published, equation = model.card.published, model.equation
    # Of a published equation only intercept and slope may have been estimated here.
    if published is not None:
        return int(published.slope != 1)
    return len(equation.features) + len(equation.sites) + len(equation.terms.pairs)
