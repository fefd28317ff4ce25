"""Fitting a study in a notebook, and everything that the fit found."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.model.card import SIMULATED_NOTE, ModelCard
from ketamine_response.cohorts import list_files, open_mapping, read_any
from ketamine_response.frames import tabulate_measures, tabulate_performance
from ketamine_response.guest import visit
from ketamine_response.models import Model, open_version
from ketamine_response.reports import Report
from ketamine_response.studies import Study
from training.findings.findings import Findings
from training.fit import Summary, run_study
from training.registry.registry import Registry
from training.report.page import render_report
from training.study.courses import arrange_cohort, load_design
from training.study.design import Design
from training.study.study import Study as Settings


@dataclass(frozen=True)
class FitResult:
    """What :func:`fit_study` found. A notebook displays the verdict and the comparison.

    Attributes
    ----------
    model
        The chosen model, registered as :attr:`alias`.
    champion
        The model to serve now: the chosen one if it passed the gate, else the one before it or the
        base rate.
    summary
        What ``python -m training fit --json`` prints, as a dictionary.
    """

    model: Model
    champion: Model
    summary: dict[str, Any]
    # Kept from the run, to be tabulated if asked for.
    _run: Summary
    _design: Design

    @property
    def findings(self) -> Findings:
        """Every number of the report."""
        return self._run.findings

    @property
    def card(self) -> ModelCard:
        """The chosen model's card."""
        return self.model.card

    @property
    def verdict(self) -> str:
        """The result, in one or two plain sentences."""
        return self.findings.verdict

    @property
    def run_id(self) -> str:
        """The run in MLflow."""
        return self._run.run_id

    @property
    def version(self) -> str:
        """Version of the chosen model in the registry."""
        return self._run.version

    @property
    def alias(self) -> str:
        """``champion`` if the chosen model is the one to serve, else ``challenger``."""
        return self._run.alias

    @cached_property
    def report(self) -> Report:
        """The whole report; a notebook displays it."""
        return Report(render_report(self.findings))

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """The candidates, a row each: measures on held-out courses, each with its 95% interval.

        ``chosen`` marks the one chosen; ``difference`` and ``error`` are the log loss minus that of
        the base rate, and its standard error.
        """
        compared = self._run.comparison
        frame = tabulate_measures(compared.measures, "candidate")
        frame.insert(0, "chosen", frame.index == compared.chosen)
        for name in ("mean", "error"):
            gaps = {key: getattr(gap, name) for key, gap in compared.to_base.items()}
            frame["difference" if name == "mean" else name] = pd.Series(gaps, dtype=float)
        return frame

    @cached_property
    def performance(self) -> pd.DataFrame:
        """Measures of the chosen procedure, a row per type of validation."""
        return tabulate_performance(self.findings)

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """Held-out predictions, a row per course and repeat; empty if no outcome is known.

        ``patient_id`` and ``course`` are the cohort's own, for joining; they are in this frame
        alone, never in the registry or the report. ``repeat`` and ``fold`` (from 1) say when the
        course was held out; ``outcome`` is 1 for an event; then a column per candidate with the
        probability that it predicted without having seen the patient.
        """
        held = self._run.comparison.held_out
        if not held:
            return pd.DataFrame(columns=["patient_id", "course", "repeat", "fold", "outcome"])
        first = next(iter(held.values()))
        columns, repeats = self._design.columns, first.repeats
        course = np.nan_to_num(columns.get_numbers("course"), nan=1.0).astype(int)
        repeat = np.repeat(np.arange(repeats), len(first.outcome) // repeats)
        # A fold's group number counts on from repeat to repeat.
        folds = (int(first.groups.max()) + 1) // repeats
        return pd.DataFrame(
            {
                "patient_id": np.tile(columns.get_texts("patient_id"), repeats),
                "course": np.tile(course, repeats),
                "repeat": repeat + 1,
                "fold": first.groups - folds * repeat + 1,
                "outcome": first.outcome.astype(int),
                **{name: predictions.probability for name, predictions in held.items()},
            }
        )

    def _repr_html_(self) -> str:
        label = f"<strong>{SIMULATED_NOTE}</strong>" if self.findings.simulated else ""
        shown = ("chosen", "log_loss", "brier", "auc", "slope")
        table = self.comparison[[name for name in shown if name in self.comparison]]
        return (
            f"<div><p>{label}</p><p>{escape(self.verdict)}</p>{table.to_html(float_format='%.3f')}"
            f"<p>{escape(self.card.name)} version {self.version}: {self.alias}</p></div>"
        )

    def __repr__(self) -> str:
        """Show outcome, version and alias."""
        label = "SIMULATED, " if self.findings.simulated else ""
        return f"FitResult({label}{self.card.name} version {self.version}: {self.alias})"


def fit_study(
    study: Study,
    cohort: Any = None,
    jobs: int | None = None,
    *,
    incomplete: bool = False,
    home: str | Path | None = None,
    progress: bool = False,
) -> FitResult:
    """Compare a study's candidates, choose one, and register it: ``python -m training fit``.

    Parameters
    ----------
    cohort
        What :func:`read_cohort` takes, or a cohort that it read; by default the study's own. The
        study's mapping applies, save to a cohort that was read: it has been mapped.
    jobs
        Processes to spread the work over; one per core by default. Results do not depend on it.
    incomplete
        Whether courses without any baseline total are left aside and counted, instead of refused.
    home
        Folder of data and runs; by default as the commands find it.
    progress
        Whether progress is shown on stderr.

    Raises
    ------
    InputError
        If the cohort breaks a rule or does not support the study; nothing has been logged then.
    """
    settings = study.settings
    if incomplete:
        part = settings.cohort.model_copy(update={"incomplete": True})
        settings = settings.model_copy(update={"cohort": part})
    with visit(home, progress) as entered:
        design = _load_design(settings, cohort)
        run = run_study(design, entered, jobs or os.cpu_count() or 1)
        registry = Registry(entered)
        chosen = registry.load_version(run.card.name, run.version)
        return FitResult(
            model=open_version(registry, chosen),
            champion=open_version(registry, run.champion),
            summary=json.loads(json.dumps(run.as_dict())),
            _run=run,
            _design=design,
        )


def _load_design(study: Settings, cohort: Any) -> Design:
    paths = list_files(cohort)
    if paths or cohort is None:
        return load_design(study, paths or None)
    part, dictionary = study.cohort, study.dictionary
    mapper = open_mapping(study.locate(part.mapping), dictionary)
    read = read_any(cohort, mapper, dictionary, part.incomplete, part.ignore_unknown)
    return arrange_cohort(study, read.columns, read.intake)
