"""External validation of a registered model on another cohort, reported and logged."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.base.errors import InputError, Problem
from features.base.files import write_bytes_atomic
from features.intake.account import Account
from features.model.card import SIMULATED_NOTE
from features.records.columns import Columns
from training.findings.findings import Findings
from training.findings.gate import list_failed
from training.measures.closed_test import RecalibrationFacts
from training.registry.registry import FINDINGS_FILE, REPORT_FILE, RegisteredModel, Registry
from training.report.layout import write_table
from training.report.page import render_report
from training.report.tables import tabulate_performance
from training.study.parts import GatePart
from training.validation.external.external import ExternalValidation, validate_on_cohort
from training.validation.external.findings import describe_external
from training.validation.external.recalibrated import make_recalibrated
from training.validation.judgement import judge_findings
from training.validation.limitations import describe_prorated


@dataclass(frozen=True)
class Validated:
    """The result of a validation: findings, report (HTML), run in MLflow, and files written."""

    findings: Findings
    report: str
    run_id: str
    files: tuple[Path, ...]

    @property
    def registered(self) -> str | None:
        """The version of the recalibrated model; None if none was registered."""
        proposed = self.findings.recalibration
        return None if proposed is None else proposed.version

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "outcome": self.findings.card.name,
            "version": self.findings.version,
            "registered": self.registered,
            "run_id": self.run_id,
            "files": [str(path) for path in self.files],
            "findings": self.findings.model_dump(mode="json"),
        }


def prepare_folder(out: Path) -> Path:
    """Make the folder for report and findings, before any work is done for them."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError:
        message = "must be a folder, or a place where one can be made"
        raise InputError([Problem("--out", "folder", message)]) from None
    return out


def validate_version(
    registry: Registry,
    registered: RegisteredModel,
    cohort: Columns,
    out: Path | None,
    register: bool,
    account: Account | None = None,
) -> Validated:
    """Validate a registered model on a cohort; log it, and write report and findings.

    Parameters
    ----------
    out
        An existing folder; None if nothing is to be written.
    register
        Whether to make the recalibrated model a new version, if one is proposed.
    account
        Of the exports that the cohort was made of; None if that is not known.

    Raises
    ------
    InputError
        If the cohort cannot test the model.
    """
    model, version = registered.model, registered.version
    before = registry.read_findings(model.card.name, version)
    # The gate asks here what the model's own study asked of it.
    bounds = GatePart() if before is None else before.bounds
    validation = validate_on_cohort(model, version, cohort, bounds)
    findings = judge_findings(describe_external(validation, account))
    with registry.open_validation(findings, validation.digest) as run_id:
        if register and findings.recalibration is not None:
            recalibrated = _register_recalibrated(registry, validation, findings.recalibration)
            findings = findings.model_copy(update={"recalibration": recalibrated})
        report = render_report(findings)
        registry.log_validation(run_id, findings, report)
    contents = {FINDINGS_FILE: findings.model_dump_json(indent=1), REPORT_FILE: report}
    files = {} if out is None else {out / file: content for file, content in contents.items()}
    for path, content in files.items():
        write_bytes_atomic(path, content.encode())
    return Validated(findings, report, run_id, tuple(files))


def _register_recalibrated(
    registry: Registry, validation: ExternalValidation, proposed: RecalibrationFacts
) -> RecalibrationFacts:
    model, findings = make_recalibrated(validation, proposed)
    version = registry.register(model).version
    findings = judge_findings(findings.model_copy(update={"version": version}))
    registry.log_findings(findings, render_report(findings))
    return proposed.model_copy(update={"version": version})


def describe_validation(done: Validated, register: bool) -> str:
    """Describe alarms, verdict, measures, gate, and what was registered."""
    findings = done.findings
    failed = ", ".join(list_failed(findings.gate))
    gate = f"not met here: {failed}" if failed else "every criterion that applies is met"
    if all(criterion.passed is None for criterion in findings.gate):
        gate = f"no criterion applies: {findings.gate[0].because}"
    table = tabulate_performance(findings.performance)
    parts = [
        f"# {findings.card.name} version {findings.version}, on a cohort",
        *([f"**{SIMULATED_NOTE}**"] if findings.simulated else []),
        *(f"**{alarm}**" for alarm in findings.alarms),
        findings.verdict,
        f"Tested on {findings.cohort}.",
        *describe_prorated(findings),
        *([] if table is None else [write_table(table)]),
        f"Gate: {gate}.",
        *([_describe_new_version(done)] if register else []),
    ]
    return "\n\n".join(parts)


def _describe_new_version(done: Validated) -> str:
    if done.registered is None:
        return "Nothing was registered: no recalibration is proposed."
    name, version = done.findings.card.name, done.registered
    return (
        f"Registered {name} version {version}, recalibrated. "
        f"`python -m training promote {name} --version {version}` asks the gate."
    )
