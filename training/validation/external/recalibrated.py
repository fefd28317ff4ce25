"""A recalibrated model: its card, and its findings from folds that it did not learn from."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import CohortError, Problem
from features.model.card import ModelCard, Recalibrated
from features.model.response_model import ResponseModel
from training.findings.findings import Findings, RecalibrationFacts
from training.study.split import derive_seed
from training.validation.external.closed_test import (
    count_rarer,
    cross_recalibrate,
    propose_nothing,
    recalibrate,
)
from training.validation.external.encounter import Encounter
from training.validation.external.external import find_external

RECALIBRATION_SEED = 9
# Patients with a course of the rarer class, so that every fold has some of them.
FEWEST = 20


def make_recalibrated(
    encounter: Encounter, proposed: RecalibrationFacts
) -> tuple[ResponseModel, Findings]:
    """Recalibrate a model, and test the recalibration on patients that it did not learn from.

    Raises
    ------
    CohortError
        If there are too few courses to test it on.
    """
    selection, card = encounter.selection, encounter.model.card
    if count_rarer(selection.outcome, selection.patients) < FEWEST:
        message = f"to test a recalibration, both classes need {FEWEST} patients at least"
        raise CohortError([Problem(card.name, "recalibration", message)], source="cohort")
    seed = derive_seed(card.seed, RECALIBRATION_SEED)
    crossed = cross_recalibrate(encounter.log_odds, selection.outcome, selection.patients, seed)
    equation = recalibrate(encounter.model.equation, proposed.intercept, proposed.slope)
    model = ResponseModel(card, equation)
    findings = find_external(retest(encounter, model, *crossed))
    facts = write_card(encounter, proposed, findings)
    return replace(model, card=facts), findings.model_copy(update={"card": facts})


def retest(
    encounter: Encounter, model: ResponseModel, log_odds: Numbers, folds: NDArray[np.int64]
) -> Encounter:
    """Take what recalibrated models said of courses held out in place of what the model said."""
    return replace(
        encounter,
        model=model,
        version=None,
        log_odds=log_odds,
        folds=folds,
        method="recalibration by the closed test in "
        f"{len(np.unique(folds))}-fold cross-validation, patients held out",
        proposal=propose_nothing(1.0, None, "this is the recalibrated model"),
    )


def write_card(encounter: Encounter, proposed: RecalibrationFacts, findings: Findings) -> ModelCard:
    """Fill in the card: the development's facts, and where and how it was recalibrated."""
    card = encounter.model.card
    origin = f"version {encounter.version}" if encounter.version else "a registered version"
    people = f"{findings.courses} courses of {findings.patients} patients"
    told = f"{people}, cohort {encounter.digest[:12]}"
    facts = Recalibrated(
        intercept=proposed.intercept,
        slope=proposed.slope,
        courses=findings.courses,
        events=findings.events,
        patients=findings.patients,
        data_digest=encounter.digest,
    )
    performance = findings.find_performance("external")
    changes = {
        "data": "simulated" if findings.simulated else card.data,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "validation": f"{origin} recalibrated on {told}, and tested there in folds held out",
        "verdict": f"{origin} with its log-odds times {proposed.slope:.3f} plus "
        f"{proposed.intercept:.3f}, learned from {told}. {findings.verdict}",
        "performance": {card.candidate: performance.measures if performance else {}},
        "interval": card.interval.model_copy(
            update={"method": f"{card.interval.method}; the recalibration taken as known"}
        ),
        "recalibrated": (*card.recalibrated, facts),
        "files": {},
    }
    return card.model_copy(update=changes)
