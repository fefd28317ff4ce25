"""A study's way from its cohort to a registered model and the champion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from features.base.commands import say
from features.base.errors import StudyError
from features.base.home import Home
from features.model.artifact import CHALLENGER_ALIAS, CHAMPION_ALIAS
from features.model.card import Measure, ModelCard
from features.model.response_model import ResponseModel
from training.candidates.base import Candidate, Fit
from training.candidates.published.candidate import check_recorded, list_warnings
from training.candidates.registry import BASE_RATE, complete_study, make_study_candidates
from training.candidates.tuning import Tuning
from training.champion import choose_champion, compare_champion
from training.findings.card import make_card
from training.findings.comparison import Comparison, await_outcomes, compare
from training.findings.findings import Findings
from training.findings.gate import list_failed
from training.registry.registry import REPORT_FILE, RegisteredModel, Registry, name_report
from training.report.figures import save_figures
from training.report.page import render_report, write_report
from training.study.design import Design
from training.study.seeds import FINAL_SEED, derive_seed
from training.study.split import split_outer
from training.study.weighting import weigh_courses
from training.validation.development import describe_development
from training.validation.evidence import gather_evidence
from training.validation.judgement import judge_development
from training.validation.procedure import choose_procedure
from training.validation.resample import redevelop
from training.validation.runs import cross_validate, open_result_store


@dataclass(frozen=True)
class Summary:
    """The result of a run.

    Parameters
    ----------
    report
        In Markdown; the run's artifacts hold the full one, as HTML.
    champion
        The version that is champion now.
    """

    run_id: str
    comparison: Comparison
    findings: Findings
    report: str
    version: str
    champion: RegisteredModel

    @property
    def card(self) -> ModelCard:
        """The chosen model's card."""
        return self.findings.card

    @property
    def alias(self) -> str:
        """``champion`` if the chosen model is now the one to serve, else ``challenger``."""
        return CHAMPION_ALIAS if self.champion.version == self.version else CHALLENGER_ALIAS

    @property
    def report_file(self) -> str:
        """The full report among the run's artifacts."""
        return f"{name_report(self.card.candidate)}/{REPORT_FILE}"

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        findings, card, population = self.findings, self.card, self.card.population
        compared = self.comparison.measures
        return {
            "run_id": self.run_id,
            "outcome": card.outcome.id,
            "courses": population.courses,
            "events": population.events,
            "base_rate": population.base_rate,
            "without_outcome": population.without_outcome,
            "chosen": self.comparison.chosen,
            "beats_base_rate": self.comparison.beats_base_rate,
            "verdict": findings.verdict,
            "data": card.data,
            "candidates": {name: _list_values(measures) for name, measures in compared.items()},
            "performance": {row.way: _list_values(row.measures) for row in findings.performance},
            "report": self.report_file,
            "gate": {"passed": findings.passed, "failed": list_failed(findings.gate)},
            "attrition": None if findings.attrition is None else findings.attrition.model_dump(),
            "flow": None if findings.flow is None else findings.flow.model_dump(),
            "model": {"name": card.name, "version": self.version, "alias": self.alias},
            "champion": {
                "version": self.champion.version,
                "candidate": self.champion.model.card.candidate,
            },
        }


def _list_values(measures: Mapping[str, Measure]) -> dict[str, Any]:
    values: dict[str, Any] = {key: measure.value for key, measure in measures.items()}
    values["intervals"] = {key: [measure.low, measure.high] for key, measure in measures.items()}
    return values


def run_study(design: Design, home: Home, jobs: int) -> Summary:
    """Run a study on its courses, from the comparison of its candidates to the champion.

    Parameters
    ----------
    design
        As :func:`training.study.courses.load_design` gives it.
    jobs
        Processes to spread the work over.

    Raises
    ------
    InputError
        If the cohort does not support the study; nothing has been logged by then.
    """
    # Load: whatever can be refused is refused before anything is logged.
    study = complete_study(design.study)
    design = weigh_courses(replace(design, study=study))
    check_recorded(study, design)
    # This and the store keep what a killed run has done, for the next; they are removed at the end.
    tuning = Tuning(study.tuning.trials, home.tuning / study.name)
    candidates = make_study_candidates(study, tuning)
    if design.size:
        split_outer(design, 0)
        problems = [p for name in study.candidates for p in candidates[name].find_problems(design)]
        if problems:
            raise StudyError(problems, source=study.name)
    registry = Registry(home)
    history = registry.open_history(design.target.id)
    history.resume()
    store = open_result_store(home.validation / study.name, design)

    for warning in list_warnings(study):
        say(warning)

    with registry.open_study(study) as run_id:
        say(f"{study.name}: {design.size} courses, {design.events} with {study.outcome}")
        # Compare; with no known outcome, the most preferred candidate that needs none is chosen.
        crossed = cross_validate(design, candidates, jobs, store) if design.size else None
        comparison = compare(design, crossed.held_out) if crossed else await_outcomes(study)
        runs = registry.log_candidates(comparison.measures)

        # Develop.
        develop = partial(_develop_model, design, comparison, jobs)
        model, fit = develop(candidates[comparison.chosen])
        registry.log_trials(runs[comparison.chosen], fit.trials)

        # Validate.
        evidence = None
        if crossed is not None:
            procedure = choose_procedure(study, candidates, comparison.chosen, fit)
            evidence = gather_evidence(design, procedure, model.equation, crossed, store, jobs)
        findings = describe_development(design, model, comparison, evidence)

        # Judge, against the champion of this moment: a change that comes later voids a promotion.
        before, present = history.read(), registry.load_champion(model.card.name)
        rival = compare_champion(present, model.card, comparison, design)
        findings = judge_development(findings.model_copy(update={"champion": rival}))

        # Register.
        # The version is registered before it is judged to be champion: a refused one can still be
        # promoted by an override.
        report = write_report(findings)
        registry.log_facts(model.card, fit.settings, report)
        with registry.open_figures() as folder:
            save_figures(model.card, design, comparison, model.equation, folder)
        registered = registry.register(model)
        findings = findings.model_copy(update={"version": registered.version})
        registry.log_findings(findings, render_report(findings))
        registry.name_version(model.card.name, CHALLENGER_ALIAS, registered.version)
        champion = choose_champion(registered, findings, present, comparison, design)
        if champion is None:
            champion = registry.register(develop(candidates[BASE_RATE])[0])
        if champion is not present:
            reason, gate = findings.verdict, findings.gate
            history.change(champion.version, "promotion", home.user, reason, gate, before)
    tuning.forget()
    store.forget()
    return Summary(run_id, comparison, findings, report, registered.version, champion)


def _develop_model(
    design: Design, comparison: Comparison, jobs: int, candidate: Candidate
) -> tuple[ResponseModel, Fit]:
    fit = candidate.fit(design, derive_seed(design.study.seed, FINAL_SEED))
    equation = redevelop(design, candidate, fit, jobs)
    card = make_card(design, comparison, candidate, equation)
    return ResponseModel(card, equation), fit
