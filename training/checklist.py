"""TRIPOD+AI: what a run can answer of the checklist, and why not of the rest.

Collins et al., BMJ 2024;385:e078378: 27 items, 52 with their parts. Numbers, sections and topics
are recalled and put in our own words; read the paper for what each item asks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from training.findings import ChecklistItem, Findings, Way
from training.html.words import TESTED_ON, WAYS

NO_FIELD = "the study file does not record this"
AUTHORS = "the authors have to say this; no run knows it"
CLINIC = "the clinic that uses the model has to say this"
OWN_DATA = "the cohort is the study's own and does not travel with the model"
NOT_DONE = "this was not done in this run"
NO_EXTERNAL = "this report is of a development; validation on another cohort is one of its own"
NO_SUBGROUPS = "no groups were compared"
ONE_COHORT = "nothing was tested on another cohort"

Answer = Callable[[Findings], str]


@dataclass(frozen=True)
class Item:
    """An item of the list.

    Parameters
    ----------
    answer
        From the findings; an empty answer means that they cannot say. None where no run could.
    because
        Why there is no answer, if there is none.
    """

    number: str
    section: str
    topic: str
    because: str
    answer: Answer | None = None


def answer_checklist(findings: Findings) -> tuple[ChecklistItem, ...]:
    """Answer every item from the findings, or say why it is not answered.

    Examples
    --------
    >>> len(ITEMS), len({item.number.rstrip("abcdefg") for item in ITEMS})
    (52, 27)
    """
    return tuple(answer_item(item, findings) for item in ITEMS)


def answer_item(item: Item, findings: Findings) -> ChecklistItem:
    """Answer one item."""
    answer = item.answer(findings) if item.answer else ""
    return ChecklistItem(
        number=item.number,
        section=item.section,
        topic=item.topic,
        answer=answer,
        because="" if answer else item.because,
    )


def name_study(findings: Findings) -> str:
    """Say what kind of study this is, of whom, and by what."""
    kind = "Evaluation" if findings.purpose == "external" else "Development and validation"
    card = findings.card
    return f"{kind} of a prediction model ({card.candidate}) of: {card.outcome.definition}."


def describe_context(findings: Findings) -> str:
    """Say what the model is for."""
    return f"{findings.card.question} Prognosis of patients who are treated; {findings.card.note}."


def describe_target(findings: Findings) -> str:
    """Say for whom the model is."""
    conditions = [
        name for r in findings.card.ranges if r.field == "condition" for name in r.categories
    ]
    whom = f" with {' or '.join(conditions)}" if conditions else ""
    return f"Patients{whom} about to be treated with ketamine, and the clinicians who treat them."


def describe_data(findings: Findings) -> str:
    """Say where the data come from."""
    kind = "simulated patients" if findings.simulated else "real patients"
    return f"{findings.cohort} ({kind}; study {findings.card.study})"


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
    offered = f"{len(findings.recorded)} fields were offered" if findings.recorded else "Of those"
    return f"{offered}; the model reads {read}, all from before the first dose or the checkpoint."


def describe_size(findings: Findings) -> str:
    """Give the verdict on sample size."""
    return findings.sample_size.verdict if findings.sample_size else ""


def describe_missing(findings: Findings) -> str:
    """Say what was done about missing predictors and outcomes."""
    predictors = "Missing predictors move nothing: the mean of the studied patients stands in."
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


def describe_characteristics(findings: Findings) -> str:
    """Say which characteristics the report has."""
    if not findings.recorded:
        return ""
    return "How often each field is recorded, and the studied ranges; counts by group."


def describe_differences(findings: Findings) -> str:
    """Say whether predictors were compared with development."""
    return ""


def count_analyses(findings: Findings) -> str:
    """Count courses and events in each analysis."""
    return " ".join(
        f"{WAYS[one.way]}: {one.events} events in {one.courses} courses."
        for one in findings.performance
        if one.measures
    )


def describe_specification(findings: Findings) -> str:
    """Say where the model is."""
    return (
        f"The model is a card and an equation in plain files with {len(findings.card.files)} "
        "digests; anybody who has them can repeat every estimate."
    )


def describe_performance(findings: Findings) -> str:
    """Give AUC, slope and observed over expected of every way of testing."""
    told = [text for one in findings.performance if (text := tell_performance(findings, one.way))]
    return " ".join(told)


def tell_performance(findings: Findings, way: Way) -> str:
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


def describe_heterogeneity(findings: Findings) -> str:
    """Say how far sites differ."""
    pooled = findings.across_sites.pooled if findings.across_sites else {}
    return " ".join(
        f"{key}: spread {one.spread:.2f}, {one.inconsistency:.0%} not owed to chance.".replace(
            "%", " %"
        )
        for key, one in pooled.items()
    )


def interpret(findings: Findings) -> str:
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


def list_items() -> Iterator[Item]:
    """List the items, in the order of the paper."""
    yield Item("1", "Title", "Kind of study, population, outcome", NO_FIELD, name_study)
    yield Item("2", "Abstract", "Summary of the study", NO_FIELD, interpret)
    background = "Introduction: background"
    yield Item("3a", background, "Purpose and health context", NO_FIELD, describe_context)
    yield Item("3b", background, "Target population and users", NO_FIELD, describe_target)
    yield Item("3c", background, "Known inequalities in health", AUTHORS)
    yield Item("4", "Introduction: objectives", "What the study aims at", NO_FIELD, name_study)
    yield Item("5a", "Methods: data", "Where the data come from", NO_FIELD, describe_data)
    yield Item("5b", "Methods: data", "Dates of inclusion and follow-up", OWN_DATA)
    people = "Methods: participants"
    yield Item("6a", people, "Setting and number of sites", OWN_DATA, count_sites)
    yield Item("6b", people, "Who could take part", NO_FIELD, describe_eligibility)
    yield Item("6c", people, "Treatments received", NO_FIELD, describe_treatment)
    yield Item("7", "Methods: data preparation", "Cleaning and checks, alike for all groups",
               NO_FIELD, describe_preparation)  # fmt: skip
    outcome = "Methods: outcome"
    yield Item("8a", outcome, "Definition, time and how assessed", NO_FIELD, define_outcome)
    yield Item("8b", outcome, "Who assessed it, with what training", OWN_DATA)
    yield Item("8c", outcome, "Whether assessors knew the predictors", OWN_DATA)
    predictors = "Methods: predictors"
    yield Item("9a", predictors, "How they were chosen", NO_FIELD, list_predictors)
    yield Item("9b", predictors, "Definition, time and how measured", NO_FIELD, define_predictors)
    yield Item("9c", predictors, "Who measured them, with what training", OWN_DATA)
    yield Item("10", "Methods: sample size", "How it was judged", NOT_DONE, describe_size)
    yield Item("11", "Methods: missing data", "What was done about it", NOT_DONE, describe_missing)
    analysis = "Methods: analysis"
    yield Item("12a", analysis, "How data were used and split", NOT_DONE, describe_use)
    yield Item("12b", analysis, "Form of the predictors", NO_FIELD, describe_forms)
    yield Item("12c", analysis, "Kind of model, building, tuning, internal validation", NO_FIELD,
               describe_building)  # fmt: skip
    yield Item("12d", analysis, "Differences between sites", NOT_DONE, describe_clusters)
    yield Item("12e", analysis, "Measures and plots of performance", NOT_DONE, list_measures)
    yield Item("12f", analysis, "Updating after evaluation", NO_EXTERNAL, describe_updating)
    yield Item("12g", analysis, "How estimates were made in evaluation", NO_EXTERNAL,
               describe_prediction)  # fmt: skip
    yield Item("13", "Methods: class imbalance", "Whether anything was done", NO_FIELD,
               describe_balance)  # fmt: skip
    yield Item("14", "Methods: fairness", "What was done for it", NO_SUBGROUPS, describe_fairness)
    yield Item("15", "Methods: model output", "What it returns, and thresholds", NO_FIELD,
               describe_output)  # fmt: skip
    yield Item("16", "Methods: training versus evaluation", "How the cohorts differ", ONE_COHORT,
               compare_cohorts)  # fmt: skip
    yield Item("17", "Methods: ethics", "Approval and consent", NO_FIELD)
    science = "Open science"
    yield Item("18a", science, "Funding", NO_FIELD)
    yield Item("18b", science, "Conflicts of interest", NO_FIELD)
    yield Item("18c", science, "Protocol", "the study file does not record one")
    yield Item("18d", science, "Registration", "the study file does not record one")
    yield Item("18e", science, "Sharing of data", OWN_DATA)
    yield Item("18f", science, "Sharing of code", NO_FIELD, describe_code)
    yield Item("19", "Patient and public involvement", "Who was involved, or nobody", NO_FIELD)
    yield Item("20a", "Results: participants", "Flow, with and without the outcome", NOT_DONE,
               count_flow)  # fmt: skip
    yield Item("20b", "Results: participants", "Characteristics, overall and by group", NOT_DONE,
               describe_characteristics)  # fmt: skip
    yield Item("20c", "Results: participants", "Comparison with development",
               "the development cohort does not travel with the model")  # fmt: skip
    yield Item("21", "Results: model development", "Courses and events in each analysis", NOT_DONE,
               count_analyses)  # fmt: skip
    yield Item("22", "Results: model specification", "The full model, and who may use it", NO_FIELD,
               describe_specification)  # fmt: skip
    yield Item("23a", "Results: performance", "Estimates with intervals", NOT_DONE,
               describe_performance)  # fmt: skip
    yield Item("23b", "Results: performance", "Differences between sites", NOT_DONE,
               describe_heterogeneity)  # fmt: skip
    yield Item("24", "Results: updating", "Results of updating", NO_EXTERNAL, describe_updating)
    yield Item("25", "Discussion: interpretation", "What it means, fairness included", NO_FIELD,
               interpret)  # fmt: skip
    yield Item("26", "Discussion: limitations", "Biases, uncertainty, generality",
               "none were written down", list_limitations)  # fmt: skip
    yield Item("27a", "Discussion: usability", "Poor or missing input", NO_FIELD,
               describe_poor_input)  # fmt: skip
    yield Item("27b", "Discussion: usability", "What users must do and know", CLINIC,
               describe_users)  # fmt: skip
    yield Item("27c", "Discussion: usability", "What research comes next", AUTHORS, describe_next)


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


ITEMS = tuple(list_items())
