"""External validation: a registered model on a cohort that it never saw, reported and logged."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.base.errors import InputError, Problem
from features.base.files import write_bytes_atomic
from features.model.card import SIMULATED_NOTE
from features.records.columns import Columns
from training.findings.findings import Findings
from training.findings.gate import list_failed
from training.registry.reference import Reference
from training.registry.registry import FINDINGS_FILE, REPORT_FILE, Registry
from training.report.html.page import render_report
from training.report.markdown import tabulate_measures
from training.study.parts import GatePart
from training.validation.external.encounter import Encounter, meet_cohort
from training.validation.external.external import find_external
from training.validation.external.recalibrated import make_recalibrated


@dataclass(frozen=True)
class ExternalValidation:
    """What came of a validation.

    Parameters
    ----------
    run_id
        In MLflow.
    files
        Where findings and report were written.
    """

    findings: Findings
    run_id: str
    files: tuple[Path, ...]

    @property
    def registered(self) -> str | None:
        """The version of the recalibrated model; None where none was registered."""
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
    """Make the folder for report and findings, before any work is done for them.

    Raises
    ------
    InputError
        If there can be none.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError:
        message = "must be a folder, or a place where one can be made"
        raise InputError([Problem("--out", "folder", message)]) from None
    return out


def validate(
    registry: Registry, reference: Reference, cohort: Columns, out: Path, register: bool
) -> ExternalValidation:
    """Validate a registered model on a cohort; log it, and write report and findings.

    Parameters
    ----------
    out
        An existing folder.
    register
        Whether to make the recalibrated model a new version, where one is proposed.

    Raises
    ------
    InputError
        If the cohort cannot test the model.
    UnavailableError
        If there is no such version.
    ArtifactError
        If it is damaged.
    """
    name, version = reference.name, registry.find_version(reference)
    model = registry.load_version(name, version).model
    before = registry.read_findings(name, version)
    encounter = meet_cohort(model, version, cohort, GatePart() if before is None else before.bounds)
    findings = find_external(encounter)
    with registry.open_validation(findings, encounter.digest) as run_id:
        if register:
            findings = register_recalibrated(registry, encounter, findings)
        report = render_report(findings)
        registry.log_validation(findings, report)
    contents = {FINDINGS_FILE: findings.model_dump_json(indent=1), REPORT_FILE: report}
    for file, content in contents.items():
        write_bytes_atomic(out / file, content.encode())
    return ExternalValidation(findings, run_id, tuple(out / file for file in contents))


def register_recalibrated(registry: Registry, encounter: Encounter, findings: Findings) -> Findings:
    """Register the recalibrated model with findings of its own, where one is proposed.

    Returns
    -------
    Findings
        Of the model as it was, the new version named in its proposal.
    """
    proposed = findings.recalibration
    if proposed is None:
        return findings
    model, own = make_recalibrated(encounter, proposed)
    version = registry.register(model).version
    own = own.model_copy(update={"version": version})
    registry.log_findings(own, render_report(own))
    named = proposed.model_copy(update={"version": version})
    return findings.model_copy(update={"recalibration": named})


def describe_validation(done: ExternalValidation, register: bool) -> str:
    """Describe what was found: alarms, verdict, measures, gate, and what was registered."""
    found = done.findings
    parts = [
        f"# {found.card.name} version {found.version}, on a cohort",
        *([f"**{SIMULATED_NOTE}**"] if found.simulated else []),
        *(f"**{alarm}**" for alarm in found.alarms),
        found.verdict,
        f"Tested on {found.cohort}.",
        tabulate_measures([one for one in found.performance if one.measures]),
        describe_verdict(found),
        *([describe_registered(done)] if register else []),
    ]
    return "\n\n".join(parts)


def describe_verdict(found: Findings) -> str:
    """Say which criteria of the gate the model would meet here."""
    failed = ", ".join(list_failed(found.gate))
    return (
        f"Gate: not met here: {failed}." if failed else "Gate: every criterion that applies is met."
    )


def describe_registered(done: ExternalValidation) -> str:
    """Say what was registered, and how it may become champion."""
    if done.registered is None:
        return "Nothing was registered: no recalibration is proposed."
    name, version = done.findings.card.name, done.registered
    return (
        f"Registered {name} version {version}, recalibrated. "
        f"`python -m training promote {name} --version {version}` asks the gate."
    )
