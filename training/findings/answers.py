"""What a run can say of the items of TRIPOD+AI: one function an item, empty where it cannot."""

from training.findings.findings import Findings, ValidationType
from training.findings.words import TESTED_ON, WAYS, name_measure, tell_treatment


def name_study(findings: Findings) -> str:
    """Say what kind of study this is, of whom, and by what."""
    kind = "Evaluation" if findings.purpose == "external" else "Development and validation"
    card = findings.card
    return f"{kind} of a prediction model ({card.candidate}) of: {card.outcome.definition}."


def describe_context(findings: Findings) -> str:
    """Say what the model is for."""
    return f"{findings.card.question} An estimate is {findings.card.note}."


def describe_target(findings: Findings) -> str:
    """Say for whom the model is."""
    conditions = [
        name for r in findings.card.ranges if r.field == "condition" for name in r.categories
    ]
    whom = f" with {' or '.join(conditions)}" if conditions else ""
    treatment = tell_treatment(findings.card)
    return f"Patients{whom} treated {treatment}, and the clinicians who treat them."


def describe_data(findings: Findings) -> str:
    """Say where the data come from."""
    kind = "simulated patients" if findings.simulated else "real patients"
    return f"{findings.cohort} Data of {kind}."


def count_sites(findings: Findings) -> str:
    """Say at how many sites."""
    return f"{findings.card.population.sites} sites in development."


def describe_eligibility(findings: Findings) -> str:
    """Point to the studied ranges."""
    fields = len(findings.card.ranges)
    return f"Studied ranges of {fields} fields are in the model's facts." if fields else ""


def describe_treatment(findings: Findings) -> str:
    """Say which treatments were studied."""
    studied = {one.field: ", ".join(one.categories) for one in findings.card.ranges}
    told = [f"{name}: {studied[name]}" for name in ("agent", "route") if studied.get(name)]
    return f"As studied, {'; '.join(told)}." if told else ""


def describe_preparation(findings: Findings) -> str:
    """Say how data were prepared."""
    return (
        "One validated matrix, the same for every course and for serving; nothing is fitted in it. "
        f"{len(findings.card.features)} columns are read."
    )


def define_outcome(findings: Findings) -> str:
    """Define the outcome."""
    outcome = findings.card.outcome
    return f"{outcome.definition} ({outcome.id}): instrument, horizon and criterion are fixed."


def list_predictors(findings: Findings) -> str:
    """Say which fields were offered and read."""
    read = len({feature.field for feature in findings.card.features})
    offered = (
        f"Of {len(findings.recorded)} fields offered" if findings.recorded else "Of all fields"
    )
    return f"{offered} the model reads {read}. Those that come after treatment are refused."


def describe_size(findings: Findings) -> str:
    """Give the verdict on sample size."""
    return findings.sample_size.verdict if findings.sample_size else ""


def describe_missing(findings: Findings) -> str:
    """Say what was done about missing predictors and outcomes."""
    predictors = (
        "In linear models a missing predictor takes the mean of the patients studied; trees take "
        "it as missing."
    )
    attrition = findings.attrition
    if attrition is None:
        return f"{predictors} Missing outcomes were not looked into."
    weighted = "Weighted for them" if attrition.effective is not None else "Not weighted for them"
    return (
        f"{predictors} {attrition.missing} of {attrition.courses} courses lack the outcome. "
        f"{weighted}; a table shows how results move if they fared differently."
    )


def describe_use(findings: Findings) -> str:
    """Say how the data were split."""
    ways = ", ".join(WAYS[one.way].lower() for one in findings.performance if one.measures)
    return f"Ways of testing: {ways}. Courses of a patient are never split." if ways else ""


def describe_building(findings: Findings) -> str:
    """Say how the model was built."""
    names = ", ".join(one.label for one in findings.candidates)
    compared = f"Candidates: {names}. " if names else ""
    chosen = f"{compared}Chosen: {findings.card.candidate}. {findings.card.validation}. "
    return f"{chosen}Tuning and calibration are repeated inside every fold."


def describe_clusters(findings: Findings) -> str:
    """Say how sites were taken into account."""
    found = findings.across_sites
    if found is None or not found.sites:
        return ""
    return (
        f"{len(found.sites)} sites, each tested by what the others taught, pooled by a "
        "random-effects meta-analysis with a prediction interval for the next site."
    )


def list_measures(findings: Findings) -> str:
    """Say what was measured."""
    if not any(one.measures for one in findings.performance):
        return ""
    drawn = {
        "calibration curve": findings.calibration,
        "decision curve": findings.decision,
        "instability": findings.instability,
    }
    plots = ", ".join(name for name, facts in drawn.items() if facts is not None) or "none"
    return f"Discrimination, calibration and overall performance, with intervals. Plots: {plots}."


def describe_updating(findings: Findings) -> str:
    """Say whether a recalibration is proposed."""
    proposed = findings.recalibration
    if proposed is None:
        return "No recalibration is proposed." if findings.purpose == "external" else ""
    return (
        f"Recalibration proposed: slope {proposed.slope:.3f}, intercept {proposed.intercept:.3f}."
    )


def describe_prediction(findings: Findings) -> str:
    """Say how estimates were made in an evaluation."""
    if findings.purpose != "external":
        return ""
    return "By the registered model itself, through the code that serves it."


def describe_balance(findings: Findings) -> str:
    """Say that nothing was done about imbalance."""
    share = findings.base_rate
    known = f" The share with the outcome is {share:.1%}." if share is not None else ""
    return f"Nothing is resampled or reweighted for class balance.{known}".replace("%", " %")


def describe_fairness(findings: Findings) -> str:
    """Say which groups were compared."""
    groupings = list(dict.fromkeys(row.grouping for row in findings.subgroups))
    if not groupings:
        return ""
    return f"Calibration and ranking by {', '.join(groupings)}; small cells are hidden."


def describe_output(findings: Findings) -> str:
    """Say what the model returns."""
    level = f"{findings.card.interval.level:.0%}".replace("%", " %")
    return f"A probability with an {level} interval; no classes, no threshold is built in."


def compare_cohorts(findings: Findings) -> str:
    """Say how the cohort of the evaluation differs."""
    if findings.purpose != "external":
        return ""
    development = findings.card.population
    return (
        f"Development: {development.events} events in {development.courses} courses. Here: "
        f"{findings.events} in {findings.courses}."
    )


def describe_code(findings: Findings) -> str:
    """Say what is needed to repeat the run."""
    card = findings.card
    software = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    return f"Seed {card.seed}, data digest {card.data_digest}, {software or 'versions unknown'}."


def count_flow(findings: Findings) -> str:
    """Count courses with and without the outcome."""
    return (
        f"{findings.courses} courses of {findings.patients} patients tested, {findings.events} "
        f"with the outcome. In development {findings.card.population.without_outcome} courses "
        "were left out for want of it."
    )


def describe_people(findings: Findings) -> str:
    """Say which characteristics the report has."""
    if not findings.recorded:
        return ""
    return "How often each field is recorded, and the studied ranges; counts by group."


def count_analyses(findings: Findings) -> str:
    """Count courses and events in each analysis."""
    return " ".join(
        f"{WAYS[one.way]}: {one.events} events in {one.courses} courses."
        for one in findings.performance
        if one.measures
    )


def find_model(findings: Findings) -> str:
    """Say where the model is."""
    return (
        f"The model is a card and an equation in plain files with {len(findings.card.files)} "
        "digests; anybody who has them can repeat every estimate."
    )


def describe_performance(findings: Findings) -> str:
    """Give AUC, slope and observed over expected of every way of testing."""
    told = [text for one in findings.performance if (text := tell_performance(findings, one.way))]
    return " ".join(told)


def tell_performance(findings: Findings, way: ValidationType) -> str:
    """Tell one way of testing in a sentence."""
    found = findings.find_performance(way)
    if found is None:
        return ""
    named = {"AUC": ("auc", 3), "slope": ("slope", 2), "observed over expected": ("ratio", 2)}
    values = [
        f"{name} {measure.value:.{digits}f}"
        for name, (key, digits) in named.items()
        if (measure := found.measures.get(key)) is not None and measure.value is not None
    ]
    return f"On {TESTED_ON[way]}: {', '.join(values)}." if values else ""


def describe_spread(findings: Findings) -> str:
    """Say how far sites differ."""
    pooled = findings.across_sites.pooled if findings.across_sites else {}
    told = (
        f"{name_measure(key)}: spread {one.spread:.2f}, {one.inconsistency:.0%} not owed to chance."
        for key, one in pooled.items()
    )
    return " ".join(told).replace("%", " %")


def repeat_verdict(findings: Findings) -> str:
    """Give the verdict."""
    return findings.verdict


def list_limitations(findings: Findings) -> str:
    """Give the limitations."""
    return " ".join(findings.limitations)


def describe_poor_input(findings: Findings) -> str:
    """Say what happens to poor input."""
    return (
        "Invalid values are refused by field and rule, missing ones replaced and named; outside "
        "the studied ranges no estimate is given."
    )


def describe_users(findings: Findings) -> str:
    """Say what users have to do."""
    return "Clinicians enter a baseline assessment; no statistics are asked of them."


def describe_next(findings: Findings) -> str:
    """Say what comes next."""
    if findings.purpose == "external":
        return ""
    return "Validation on cohorts elsewhere, with `training validate`, before and during use."


def define_predictors(findings: Findings) -> str:
    """Say where fields are defined."""
    return (
        "Each field has a type, unit and range in one registry; all are from before the first "
        "dose, or for an update outcome from before its checkpoint."
    )


def describe_forms(findings: Findings) -> str:
    """Say which transforms were used."""
    forms = ", ".join(sorted({feature.transform for feature in findings.card.features}))
    return f"Transforms: {forms}." if forms else ""
