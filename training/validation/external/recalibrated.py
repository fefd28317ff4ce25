"""A recalibrated model: its card, and its findings from folds that it was not recalibrated on."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from features.base.errors import CohortError, Problem
from features.model.card import ModelCard, Recalibrated
from features.model.response_model import ResponseModel
from training.findings.findings import Findings
from training.measures.closed_test import RecalibrationFacts, propose
from training.study.seeds import RECALIBRATION_SEED, derive_seed
from training.validation.external.external import ExternalValidation
from training.validation.external.findings import describe_external
from training.validation.external.recalibration import (
    count_smaller_class,
    cross_recalibrate,
    recalibrate,
)

# Patients of the smaller outcome class, so that every fold has some of them.
_MIN_PATIENTS = 20


def make_recalibrated(
    validation: ExternalValidation, proposed: RecalibrationFacts
) -> tuple[ResponseModel, Findings]:
    """Recalibrate a model, and validate the recalibration by cross-validation.

    Raises
    ------
    CohortError
        If there are too few courses to validate it on.
    """
    selection, card = validation.selection, validation.model.card
    if count_smaller_class(selection.outcome, selection.patients) < _MIN_PATIENTS:
        message = (
            f"to validate a recalibration, both classes need at least {_MIN_PATIENTS} patients"
        )
        raise CohortError([Problem(card.name, "recalibration", message)], source="cohort")
    seed = derive_seed(card.seed, RECALIBRATION_SEED)
    log_odds, folds = cross_recalibrate(
        validation.log_odds, selection.outcome, selection.patients, seed
    )
    equation = recalibrate(validation.model.equation, proposed.intercept, proposed.slope)
    model = ResponseModel(card, equation)
    tested = replace(
        validation,
        model=model,
        version=None,
        log_odds=log_odds,
        folds=folds,
        method="recalibration by the closed test in "
        f"{len(np.unique(folds))}-fold cross-validation, patients held out",
        proposal=propose("none", 1.0, None, "this is the recalibrated model"),
    )
    findings = describe_external(tested)
    card = _write_card(validation, proposed, findings)
    return replace(model, card=card), findings.model_copy(update={"card": card})


def _write_card(
    validation: ExternalValidation, proposed: RecalibrationFacts, findings: Findings
) -> ModelCard:
    card = validation.model.card
    origin = f"version {validation.version}" if validation.version else "a registered version"
    patients = f"{findings.courses} courses of {findings.patients} patients"
    cohort = f"{patients}, cohort {validation.digest[:12]}"
    performance = findings.find_performance("external")
    facts = Recalibrated(
        intercept=proposed.intercept,
        slope=proposed.slope,
        courses=findings.courses,
        events=findings.events,
        patients=findings.patients,
        data_digest=validation.digest,
    )
    changes = {
        "data": "simulated" if findings.simulated else card.data,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "validation": f"{origin} recalibrated on {cohort}, and cross-validated there",
        "verdict": f"{origin} with its log-odds times {proposed.slope:.3f} plus "
        f"{proposed.intercept:.3f}, estimated from {cohort}. {findings.verdict}",
        "performance": {card.candidate: performance.measures if performance else {}},
        "interval": card.interval.model_copy(
            update={"method": f"{card.interval.method}; the recalibration taken as known"}
        ),
        "recalibrated": (*card.recalibrated, facts),
        # Of the registered model; saving writes those of the recalibrated one.
        "files": {},
    }
    return card.model_copy(update=changes)
