"""A run: from a study and its cohort to a registered model, in a handful of calls."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.base.commands import say
from features.base.home import Home
from features.model.card import ModelCard
from features.model.response_model import CHALLENGER_ALIAS, CHAMPION_ALIAS, ResponseModel
from features.records.columns import Columns
from training.candidates import Candidate, make_candidates
from training.candidates.tuning import Tuning
from training.champion import choose_champion, compare_champion
from training.findings.comparison import Comparison, await_outcomes, compare
from training.findings.findings import Findings
from training.findings.gate import list_failed
from training.registry.registry import REPORT_FILE, RegisteredModel, Registry, name_report
from training.report.figures import draw_figures
from training.report.html.page import render_report
from training.report.markdown import plain_measures, summarise_candidates, write_report
from training.study.design import Design, make_design
from training.study.split import split_outer
from training.study.study import Study
from training.study.weighting import list_enrolled, weigh_courses
from training.validation.runs import CrossValidation, cross_validate
from training.validation.store import Store, open_store
from training.work import Work


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Parameters
    ----------
    report
        In Markdown; the run holds the whole one, as HTML.
    alias
        ``champion`` where the chosen model is now the one to serve, else ``challenger``.
    champion
        The version that now holds the champion's alias.
    """

    run_id: str
    comparison: Comparison
    findings: Findings
    report: str
    version: str
    alias: str
    champion: RegisteredModel

    @property
    def card(self) -> ModelCard:
        """The chosen model's card."""
        return self.findings.card

    @property
    def report_file(self) -> str:
        """The whole report among the run's artifacts."""
        return f"{name_report(self.card.candidate)}/{REPORT_FILE}"

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        people, found = self.card.population, self.findings
        return {
            "run_id": self.run_id,
            "outcome": self.card.outcome.id,
            "courses": people.courses,
            "events": people.events,
            "base_rate": people.base_rate,
            "without_outcome": people.without_outcome,
            "chosen": self.comparison.chosen,
            "beats_base_rate": self.comparison.beats_base_rate,
            "verdict": found.verdict,
            "data": self.card.data,
            "candidates": summarise_candidates(self.comparison),
            "performance": {one.way: plain_measures(one.measures) for one in found.performance},
            "report": self.report_file,
            "gate": {"passed": found.passed, "failed": list_failed(found.gate)},
            "attrition": None if found.attrition is None else found.attrition.model_dump(),
            "model": {"name": self.card.name, "version": self.version, "alias": self.alias},
            "champion": {
                "version": self.champion.version,
                "candidate": self.champion.model.card.candidate,
            },
        }


def run_study(study: Study, cohort: Columns, home: Home, jobs: int) -> Summary:
    """Run a study on a cohort: compare, choose, develop, validate, log, register, judge.

    Parameters
    ----------
    cohort
        Valid courses, as :func:`training.study.design.load_courses` gives them.
    jobs
        Processes to spread the work over.

    Raises
    ------
    InputError
        If the cohort cannot give what the study asks for; nothing has been logged by then.
    """
    enrolment = list_enrolled(study, cohort)
    design = weigh_courses(study, make_design(study, cohort), enrolment)
    if design.size:
        split_outer(study, design, 0)  # refuses what cannot be divided before anything is logged
    registry, name = Registry(home), study.parse_outcome().id
    registry.open_history(name).resume()
    tuning = Tuning(study.tuning.trials, home.tuning / study.name)
    candidates = make_candidates(tuning)
    store = open_store(home.validation / study.name, study, design)
    with registry.open_study(study) as run_id:
        say(f"{study.name}: {design.size} courses, {design.events} with {study.outcome}")
        crossed, comparison = compare_candidates(study, design, candidates, store, jobs)
        runs = {
            name: registry.log_candidate(name, measures)
            for name, measures in comparison.measures.items()
        }
        work = Work(
            study,
            cohort,
            design,
            enrolment,
            crossed,
            comparison,
            candidates,
            store,
            home.user,
            jobs,
        )
        model, fit = work.develop(comparison.chosen)
        registry.log_trials(runs[comparison.chosen], fit.trials)
        head, present = registry.open_history(name).read().head, registry.find_champion(name)
        findings = work.validate(model, fit, compare_champion(work, present))
        report = write_report(findings)
        registry.log_facts(model.card, fit.settings, report)
        log_figures(registry, work, model)
        registered = registry.register(model)
        findings = findings.model_copy(update={"version": registered.version})
        registry.log_findings(findings, render_report(findings))
        champion = choose_champion(registry, work, registered, present, head, findings)
    tuning.forget()
    store.forget()
    alias = CHAMPION_ALIAS if champion.version == registered.version else CHALLENGER_ALIAS
    return Summary(run_id, comparison, findings, report, registered.version, alias, champion)


def compare_candidates(
    study: Study, design: Design, candidates: Mapping[str, Candidate], store: Store, jobs: int
) -> tuple[CrossValidation | None, Comparison]:
    """Compare the study's candidates, as far as there are outcomes to compare them on."""
    if not design.size:
        return None, await_outcomes(study)
    crossed = cross_validate(study, design, candidates, jobs, store)
    return crossed, compare(study, design, crossed.held_out)


def log_figures(registry: Registry, work: Work, model: ResponseModel) -> None:
    """Draw the run's figures and log them."""
    with tempfile.TemporaryDirectory() as folder:
        draw_figures(model.card, work.design, work.comparison, model.equation, Path(folder))
        registry.log_folder(Path(folder))
