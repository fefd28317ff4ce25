"""TRIPOD+AI: what a run can answer of the checklist, and why not of the rest.

Collins et al., BMJ 2024;385:e078378: 27 items, 52 with their parts. Numbers, sections and topics
are recalled and put in our own words; read the paper for what each item asks.
"""

from collections.abc import Callable
from dataclasses import dataclass

from training.findings import answers
from training.findings.findings import ChecklistItem, Findings

UNRECORDED = "the study file does not record this"
UNKNOWN = "the authors have to say this; no run knows it"
NO_DATES = "dates of single patients stay in the cohort, which does not travel with the model"
NO_DEVELOPMENT = "the development cohort does not travel with the model"
NOT_DONE = "this was not done in this run"
ALWAYS = "the findings hold nothing of it"
ELSEWHERE = "this is a development; validation on another cohort has a report of its own"
NO_GROUPS = "no groups were compared"


@dataclass(frozen=True)
class Item:
    """An item of the list.

    Parameters
    ----------
    because
        Why there is no answer, where there is none.
    answer
        Makes one from the findings, empty where they cannot say; None where no run could.
    """

    number: str
    section: str
    topic: str
    because: str
    answer: Callable[[Findings], str] | None = None


ITEMS = (
    Item("1", "Title", "Kind of study, patients, outcome", ALWAYS, answers.name_study),
    Item("2", "Abstract", "Summary of the study", ALWAYS, answers.repeat_verdict),
    Item("3a", "Background", "Purpose and context of care", ALWAYS, answers.describe_context),
    Item("3b", "Background", "Intended patients and users", ALWAYS, answers.describe_target),
    Item("3c", "Background", "Known inequalities in health", UNKNOWN),
    Item("4", "Objectives", "What the study aims at", ALWAYS, answers.name_study),
    Item("5a", "Data", "Where the data come from", ALWAYS, answers.describe_data),
    Item("5b", "Data", "Dates of inclusion and follow-up", NO_DATES),
    Item("6a", "Participants", "Setting, number of sites", ALWAYS, answers.count_sites),
    Item("6b", "Participants", "Who could take part", UNRECORDED, answers.describe_eligibility),
    Item("6c", "Participants", "Treatments received", UNRECORDED, answers.describe_treatment),
    Item("7", "Data preparation", "Cleaning and checks", ALWAYS, answers.describe_preparation),
    Item("8a", "Outcome", "Definition, time, how assessed", ALWAYS, answers.define_outcome),
    Item("8b", "Outcome", "Who assessed it, how trained", UNRECORDED),
    Item("8c", "Outcome", "Whether assessors knew the predictors", UNRECORDED),
    Item("9a", "Predictors", "How they were chosen", ALWAYS, answers.list_predictors),
    Item("9b", "Predictors", "Definition, time, how measured", ALWAYS, answers.define_predictors),
    Item("9c", "Predictors", "Who measured them, how trained", UNRECORDED),
    Item("10", "Sample size", "How it was judged", NOT_DONE, answers.describe_size),
    Item("11", "Missing data", "What was done about it", NOT_DONE, answers.describe_missing),
    Item("12a", "Analysis", "How data were used and split", NOT_DONE, answers.describe_use),
    Item("12b", "Analysis", "Form of the predictors", ALWAYS, answers.describe_forms),
    Item("12c", "Analysis", "Kind of model and building", ALWAYS, answers.describe_building),
    Item("12d", "Analysis", "Differences between sites", NOT_DONE, answers.describe_clusters),
    Item("12e", "Analysis", "Measures and plots", NOT_DONE, answers.list_measures),
    Item("12f", "Analysis", "Updating after evaluation", ELSEWHERE, answers.describe_updating),
    Item("12g", "Analysis", "How estimates were made", ELSEWHERE, answers.describe_prediction),
    Item("13", "Class imbalance", "Whether anything was done", ALWAYS, answers.describe_balance),
    Item("14", "Fairness", "What was done for it", NO_GROUPS, answers.describe_fairness),
    Item("15", "Model output", "What is returned, thresholds", ALWAYS, answers.describe_output),
    Item("16", "Evaluation", "How it differs from training", ELSEWHERE, answers.compare_cohorts),
    Item("17", "Ethics", "Approval and consent", UNRECORDED),
    Item("18a", "Open science", "Funding", UNRECORDED),
    Item("18b", "Open science", "Conflicts of interest", UNRECORDED),
    Item("18c", "Open science", "Protocol", "the study file does not record one"),
    Item("18d", "Open science", "Registration", "the study file does not record one"),
    Item("18e", "Open science", "Sharing of data", UNRECORDED),
    Item("18f", "Open science", "Sharing of code", ALWAYS, answers.describe_code),
    Item("19", "Patients and public", "Who was involved, if anybody", UNRECORDED),
    Item("20a", "Results: participants", "Flow, outcomes known or not", ALWAYS, answers.count_flow),
    Item("20b", "Results: participants", "Characteristics", NOT_DONE, answers.describe_people),
    Item("20c", "Results: participants", "Comparison with development", NO_DEVELOPMENT),
    Item("21", "Results: development", "Courses and events used", NOT_DONE, answers.count_analyses),
    Item("22", "Results: the model", "Its full form, who may use it", ALWAYS, answers.find_model),
    Item("23a", "Results: performance", "Measures", NOT_DONE, answers.describe_performance),
    Item("23b", "Results: performance", "Sites differ by", NOT_DONE, answers.describe_spread),
    Item("24", "Results: updating", "What it changed", ELSEWHERE, answers.describe_updating),
    Item("25", "Interpretation", "What it means", ALWAYS, answers.repeat_verdict),
    Item("26", "Limitations", "Bias and uncertainty", "none are written down",
         answers.list_limitations),
    Item("27a", "Usability", "Poor or missing input", ALWAYS, answers.describe_poor_input),
    Item("27b", "Usability", "What users must do and know", ALWAYS, answers.describe_users),
    Item("27c", "Usability", "What research comes next", UNKNOWN, answers.describe_next),
)  # fmt: skip


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
