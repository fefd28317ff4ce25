"""Limitations: what a reader must bear in mind, derived from the findings themselves."""

from collections.abc import Iterator

from features.model.card import Measure
from training.findings.findings import Findings
from training.findings.format import format_measure
from training.study.parts import LEAKAGE_AUC

# Assumed: with fewer, calibration curves and subgroups are too imprecise (Van Calster et al., J
# Clin Epidemiol 2016, from memory, unverified, ask for 200 events and 200 non-events).
_MIN_EVENTS = 200
# Assumed: the table of scenarios shows the consequences for any proportion.
_MUCH_MISSING = 0.2


def list_limitations(findings: Findings) -> Iterator[str]:
    """List what limits the findings, in plain sentences."""
    yield (
        "An estimate is a prognosis if treated. No untreated patient was studied: it does not say "
        "what treatment adds, and is no ground to refuse it."
    )
    if findings.simulated:
        yield "The patients are simulated: nothing here applies to real ones."
    yield from _describe_size(findings)
    yield from _describe_high_auc(findings)
    yield from describe_prorated(findings)
    yield from _describe_missing_outcomes(findings)
    yield from _describe_validation(findings)
    if findings.profile == "quick":
        yield (
            "This is the quick profile: bootstrap refits had the chosen candidate's "
            "hyperparameters fixed, so the corrected figures ignore the optimism of choosing."
        )
    small = sum(row.ratio is None for row in findings.subgroups)
    if small:
        yield (
            f"{small} of {len(findings.subgroups)} subgroups have too few courses to measure "
            "performance."
        )


def _describe_size(findings: Findings) -> Iterator[str]:
    smaller = min(findings.events, findings.courses - findings.events)
    if findings.courses and smaller < _MIN_EVENTS:
        yield (
            f"The smaller outcome class has {smaller} courses. Below {_MIN_EVENTS}, curves, "
            "subgroups and single sites are imprecise: read them with their intervals."
        )
    size = findings.sample_size
    if size is not None and size.binding is not None and "too few" in size.verdict:
        yield f"For a model without shrinkage, {size.verdict}"


def _describe_high_auc(findings: Findings) -> Iterator[str]:
    auc = _find_auc(findings)
    if findings.simulated or findings.card.parse_outcome().checkpoint or auc.value is None:
        return
    # Above the bound with its whole interval, it is an alarm.
    if auc.value > LEAKAGE_AUC and auc.low is not None and auc.low <= LEAKAGE_AUC:
        yield (
            f"An AUC of {format_measure(auc, 2)} is higher than baseline alone is known to reach "
            f"({LEAKAGE_AUC:.2f}), but its interval is not: with so few courses it may be chance. "
            "Make sure that no column contains the outcome."
        )


def _find_auc(findings: Findings) -> Measure:
    chosen = (candidate.measures for candidate in findings.candidates if candidate.chosen)
    external = findings.find_performance("external")
    measures = next(chosen, {} if external is None else external.measures)
    return measures.get("auc", Measure(value=None))


def describe_prorated(findings: Findings) -> Iterator[str]:
    """Describe how many totals were derived from part of their items."""
    fields = findings.card.dictionary.cohort_fields
    for key, count in findings.prorated.items():
        yield (
            f"Courses whose {fields[key].label} is pro-rated, blank items taken to be "
            f"the mean of the others: {count}."
        )


def _describe_missing_outcomes(findings: Findings) -> Iterator[str]:
    attrition = findings.attrition
    if attrition is None or not attrition.missing:
        return
    much = attrition.missing / attrition.courses > _MUCH_MISSING
    warning = " Base rate and calibration depend on it: see the table." if much else ""
    yield (
        f"{attrition.missing} of {attrition.courses} courses have a missing outcome. The figures "
        f"assume: {attrition.assumption}.{warning}"
    )


def _describe_validation(findings: Findings) -> Iterator[str]:
    if findings.purpose == "external":
        yield from _describe_external_validation(findings)
        return
    if findings.find_performance("sites") is None:
        yield "No site was held out: performance at new clinics is unknown."
    if findings.find_performance("temporal") is None:
        yield "The latest courses were not held out: whether performance lasts is unknown."
    yield "There is no external validation: performance elsewhere is likely to be lower."


def _describe_external_validation(findings: Findings) -> Iterator[str]:
    yield (
        "That the model was not fitted on these courses is known from the digests of whole cohorts "
        "only: patients who are in both would not be noticed."
    )
    yield "Estimates that the service would withhold for too little evidence were tested, too."
    instability = findings.instability
    if instability is not None and instability.versions:
        yield (
            f"Instability and thin lines are those of the {instability.versions} bootstrap models "
            f"stored with the model ({findings.card.interval.method}): nothing was refitted here."
        )
