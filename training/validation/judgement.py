"""The gate's judgement on findings, and the checklist that is answered from them."""

from collections.abc import Sequence

from training.findings.checklist import answer_checklist
from training.findings.findings import Findings
from training.findings.gate import judge, list_failed, passes


def judge_findings(findings: Findings) -> Findings:
    """Add the gate's criteria and the checklist's answers to findings."""
    criteria = judge(findings, findings.bounds)
    judged = findings.model_copy(update={"gate": criteria, "passed": passes(criteria)})
    return judged.model_copy(update={"checklist": answer_checklist(judged)})


def judge_development(findings: Findings) -> Findings:
    """Judge the findings of a study; a refusal is added to the verdict."""
    failed = list_failed(judge(findings, findings.bounds))
    verdict = _add_refusal(findings.verdict, failed)
    return judge_findings(findings.model_copy(update={"verdict": verdict}))


def _add_refusal(verdict: str, failed: Sequence[str]) -> str:
    """Name the failed criteria, unless the base rate is the verdict already.

    >>> _add_refusal("It beats the base rate.", ["subgroups"])
    'It beats the base rate. Yet the gate does not let it through: subgroups.'
    >>> _add_refusal("Nothing beats the base rate.", ["base_rate", "subgroups"])
    'Nothing beats the base rate.'
    """
    if not failed or "base_rate" in failed:
        return verdict
    return f"{verdict} Yet the gate does not let it through: {', '.join(failed)}."
