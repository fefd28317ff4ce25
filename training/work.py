"""The work of a run: develop a candidate on the whole design, and test what led to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.model.response_model import ResponseModel
from features.records.columns import Columns
from training.candidates.base import Candidate, Fit
from training.findings.card import make_card
from training.findings.checklist import answer_checklist
from training.findings.comparison import Comparison
from training.findings.findings import ChampionFacts, Findings
from training.findings.gate import judge, list_failed, passes
from training.study.design import Design
from training.study.split import derive_seed
from training.study.study import Study
from training.study.weighting import Enrolment
from training.validation.attrition import describe_attrition
from training.validation.development.development import Development, find_development
from training.validation.development.evidence import (
    choose_procedure,
    choose_redrawing,
    gather_evidence,
)
from training.validation.development.validated import Validated
from training.validation.resample import redevelop
from training.validation.runs import CrossValidation
from training.validation.store import Store

FINAL_SEED = 4


@dataclass(frozen=True)
class Work:
    """What every step of a run needs."""

    study: Study
    cohort: Columns
    design: Design
    enrolment: Enrolment
    crossed: CrossValidation | None
    comparison: Comparison
    candidates: Mapping[str, Candidate]
    store: Store
    user: str
    jobs: int

    def develop(self, name: str) -> tuple[ResponseModel, Fit]:
        """Fit a candidate on the whole design, with its re-developments and its card."""
        candidate = self.candidates[name]
        fit = candidate.fit(self.design, derive_seed(self.study.seed, FINAL_SEED))
        equation = redevelop(self.study, self.design, candidate, fit, self.jobs)
        card = make_card(self.study, self.cohort, self.design, self.comparison, name, equation)
        return ResponseModel(card, equation), fit

    def validate(self, model: ResponseModel, fit: Fit, champion: ChampionFacts | None) -> Findings:
        """Repeat the procedure that led to a model, find what can be said of it, and judge it.

        Parameters
        ----------
        champion
            The present one on the same courses; None where there is none.
        """
        study, design, validated = self.study, self.design, None
        if self.crossed is not None:
            procedure = choose_procedure(study, self.candidates, model.card.candidate, fit)
            redrawing = choose_redrawing(study, design, model.equation, self.crossed)
            evidence = gather_evidence(study, design, procedure, redrawing, self.store, self.jobs)
            validated = Validated(study, design, model.equation, self.crossed, evidence)
        held_out = self.comparison.held_out.get(model.card.candidate)
        attrition = describe_attrition(study, design, self.enrolment, held_out, model.equation)
        known = Development(
            study, design, model.card, self.comparison, attrition, validated, champion
        )
        return judge_findings(find_development(known))


def judge_findings(found: Findings) -> Findings:
    """Put what the gate says of findings, and the checklist's answers, beside them."""
    criteria = judge(found, found.bounds)
    judged = found.model_copy(
        update={
            "gate": criteria,
            "passed": passes(criteria),
            "verdict": add_refusal(found.verdict, list_failed(criteria)),
        }
    )
    return judged.model_copy(update={"checklist": answer_checklist(judged)})


def add_refusal(verdict: str, failed: Sequence[str]) -> str:
    """Say after the verdict what the gate refuses; not where the base rate is the verdict already.

    Examples
    --------
    >>> add_refusal("It beats the base rate.", ["subgroups"])
    'It beats the base rate. Yet the gate does not let it through: subgroups.'
    >>> add_refusal("Nothing beats the base rate.", ["base_rate", "subgroups"])
    'Nothing beats the base rate.'
    """
    if not failed or "base_rate" in failed:
        return verdict
    return f"{verdict} Yet the gate does not let it through: {', '.join(failed)}."
