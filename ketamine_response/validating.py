"""External validation of a registered model, in a notebook."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from features.base.outputs import check_outputs
from ketamine_response.cohorts import MappingLike, list_inputs, open_mapping, read_any, to_path
from ketamine_response.frames import tabulate_performance
from ketamine_response.guest import visit
from ketamine_response.models import Model
from ketamine_response.reports import Report
from training.findings.findings import Findings
from training.registry.reference import Reference, parse_reference
from training.registry.registry import FINDINGS_FILE, REPORT_FILE, Registry
from training.validate import Validated, describe_validation, prepare_folder, validate_version


@dataclass(frozen=True)
class ValidationResult:
    """What :func:`validate` found on another cohort. A notebook displays the report.

    Attributes
    ----------
    summary
        What ``python -m training validate --json`` prints, as a dictionary.
    text
        Verdict, measures and gate, in Markdown.
    """

    summary: dict[str, Any]
    text: str
    _done: Validated

    @property
    def findings(self) -> Findings:
        """Every number of the report."""
        return self._done.findings

    @property
    def report(self) -> Report:
        """The whole report; a notebook displays it."""
        return Report(self._done.report)

    @property
    def registered(self) -> str | None:
        """The version of the recalibrated model; None if none was registered."""
        return self._done.registered

    @cached_property
    def performance(self) -> pd.DataFrame:
        """Measures on the cohort, each with its 95% interval; a row per type of validation."""
        return tabulate_performance(self.findings)

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        """Show the model, and the courses that it was tested on."""
        findings, label = self.findings, "SIMULATED, " if self.findings.simulated else ""
        name = f"{findings.card.name} version {findings.version}"
        return f"ValidationResult({label}{name}: {findings.courses} courses)"


def validate(
    model: Model | str,
    cohort: Any,
    mapping: MappingLike = None,
    *,
    ignore_unknown: bool = False,
    incomplete: bool = False,
    register: bool = False,
    out: str | Path | None = None,
    home: str | Path | None = None,
) -> ValidationResult:
    """Test a registered model on another cohort: ``python -m training validate``.

    Parameters
    ----------
    model
        A model that was loaded from this home, or ``OUTCOME[@ALIAS|@VERSION]``.
    cohort
        With outcomes: what :func:`read_cohort` takes, or a cohort that it read.
    mapping, ignore_unknown, incomplete
        As :func:`read_cohort` takes them.
    register
        Whether the recalibrated model is registered as a new version, if one is proposed.
    out
        Folder for ``report.html`` and ``findings.json``; by default nothing is written.
    home
        Folder of data and runs; by default as the commands find it.

    Raises
    ------
    InputError
        If the cohort breaks a rule, or cannot test the model.
    UnavailableError
        If the registry has no such version.
    """
    reference = parse_reference(model) if isinstance(model, str) else _refer(model)
    folder = to_path(out)
    if folder is not None:
        files = [("out", folder / file) for file in (FINDINGS_FILE, REPORT_FILE)]
        check_outputs(files, list_inputs(cohort, mapping))
    with visit(home) as entered:
        registry = Registry(entered)
        registered = registry.load_reference(reference)
        dictionary = registered.model.card.dictionary
        mapper = open_mapping(mapping, dictionary)
        read = read_any(cohort, mapper, dictionary, incomplete, ignore_unknown)
        written = None if folder is None else prepare_folder(folder)
        done = validate_version(registry, registered, read.columns, written, register, read.intake)
    return ValidationResult(done.as_dict(), describe_validation(done, register), done)


def _refer(model: Model) -> Reference:
    return Reference(model.name, version=model.version)
