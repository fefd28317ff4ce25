"""A run: from a study and its cohort to a registered model, in a handful of calls."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cohort import digest_cohort
from features.columns import Columns
from features.commands import say
from features.contract import ModelCard
from features.home import Home
from features.response_model import CHALLENGER_ALIAS, CHAMPION_ALIAS, ResponseModel
from training.attrition import Attrition, describe_attrition
from training.candidates import Candidate, Fit, make_candidates
from training.card import describe_population, make_card
from training.checklist import answer_checklist
from training.comparison import BASE_RATE, Comparison, await_outcomes, compare
from training.design import Design, make_design
from training.evaluate import compare_losses, compute_log_loss
from training.figures import draw_figures
from training.findings import ChampionFacts, Findings
from training.gate import judge, list_failed, passes
from training.history import Event
from training.html import render_report
from training.registry import RegisteredModel, Registry
from training.report import plain_measures, summarise_candidates, write_report
from training.resample import redevelop
from training.split import derive_seed, split_outer
from training.study import Study
from training.tuning import Tuning
from training.validation.development import Development, find_development
from training.validation.evidence import choose_procedure, gather_evidence
from training.validation.runs import CrossValidation, cross_validate
from training.validation.store import Store, open_store
from training.validation.validated import Validated
from training.weighting import Enrolment, list_enrolled, weigh_courses

FINAL_SEED = 4


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
            "gate": {"passed": found.passed, "failed": list_failed(found.gate)},
            "attrition": None if found.attrition is None else found.attrition.model_dump(),
            "model": {"name": self.card.name, "version": self.version, "alias": self.alias},
            "champion": {
                "version": self.champion.version,
                "candidate": self.champion.model.card.candidate,
            },
        }


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
        fit = self.candidates[name].fit(self.design, derive_seed(self.study.seed, FINAL_SEED))
        equation = redevelop(self.study, self.design, name, fit, self.jobs)
        card = make_card(self.study, self.cohort, self.design, self.comparison, name, equation)
        return ResponseModel(card, equation), fit

    def validate(self, model: ResponseModel, fit: Fit, present: RegisteredModel | None) -> Findings:
        """Repeat the procedure that led to a model, find what can be said of it, and judge it."""
        study, design, validated = self.study, self.design, None
        if self.crossed is not None:
            procedure = choose_procedure(study, self.candidates, model.card.candidate, fit)
            evidence = gather_evidence(study, design, procedure, self.store, self.jobs)
            validated = Validated(study, design, model.equation, self.crossed, evidence)
        attrition, champion = self.describe_attrition(model), compare_champion(self, present)
        known = Development(
            study, design, model.card, self.comparison, attrition, validated, champion
        )
        return judge_findings(find_development(known))

    def describe_attrition(self, model: ResponseModel) -> Attrition:
        """Describe missing outcomes, and what they may do to a model."""
        held_out = self.comparison.held_out.get(model.card.candidate)
        return describe_attrition(self.study, self.design, self.enrolment, held_out, model.equation)


def run_study(study: Study, cohort: Columns, home: Home, jobs: int) -> Summary:
    """Run a study on a cohort: compare, choose, develop, validate, log, register, judge.

    Parameters
    ----------
    cohort
        Valid courses, as :func:`training.design.load_courses` gives them.
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
        findings = work.validate(model, fit, present)
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


def choose_champion(
    registry: Registry,
    work: Work,
    registered: RegisteredModel,
    present: RegisteredModel | None,
    head: Event | None,
    findings: Findings,
) -> RegisteredModel:
    """Let the gate decide which model clinicians see, and name it.

    The chosen one if it passes. If not, the present champion stays as long as these patients bear
    it out. Else it is the base rate: what an honest answer then is. So it is before anybody's
    outcome is known; it is then the published one.

    Parameters
    ----------
    head
        The last change of the champion when the findings were judged: whoever made another since
        came first.
    """
    name = registered.model.card.name
    registry.name_version(name, CHALLENGER_ALIAS, registered.version)
    is_base = registered.model.card.candidate == BASE_RATE
    passed = bool(findings.passed) and not is_base and work.comparison.is_measured
    if present is not None and not passed and keeps_place(work, present):
        return present
    winner = registered if passed or is_base else registry.register(work.develop(BASE_RATE)[0])
    history, reason = registry.open_history(name), findings.verdict
    gate = tuple(one.model_dump(mode="json") for one in findings.gate)
    history.record(history.follow(head, winner.version, "promotion", work.user, reason, gate))
    return winner


def keeps_place(work: Work, present: RegisteredModel) -> bool:
    """Tell whether the present champion stays: these patients bear it out, or it is the same."""
    if not work.comparison.is_measured:
        return not is_outdated(work, present)
    card = present.model.card
    same = card.candidate == BASE_RATE and card.data_digest == digest_cohort(work.cohort)
    # The same courses can be counted otherwise: other weights, another filter.
    same &= card.population == describe_population(work.cohort, work.design)
    return same or holds(work, present)


def is_outdated(work: Work, present: RegisteredModel) -> bool:
    """Tell whether the present champion is the published base rate, for fewer patients enrolled.

    Only that gives way without any outcome: its studied ranges are those of fewer patients.
    """
    card = present.model.card
    published = card.candidate == BASE_RATE and not card.population.courses
    return published and card.data_digest != digest_cohort(work.cohort)


def compare_champion(work: Work, present: RegisteredModel | None) -> ChampionFacts | None:
    """Compare the chosen candidate with the present champion, on the same held-out courses."""
    if present is None or not work.comparison.is_measured:
        return None
    gap = compare_losses(
        work.comparison.losses[work.comparison.chosen],
        judge_present(work, present),
        work.design.patients,
        work.design.given_weights,
    )
    return ChampionFacts(
        version=present.version,
        candidate=present.model.card.candidate,
        difference=gap.mean,
        error=gap.error,
    )


def holds(work: Work, present: RegisteredModel) -> bool:
    """Tell whether the present champion beats the base rate by more than a standard error."""
    base, design = work.comparison.losses[BASE_RATE], work.design
    losses = judge_present(work, present)
    gap = compare_losses(losses, base, design.patients, design.given_weights)
    return gap.mean < -gap.error


def judge_present(work: Work, present: RegisteredModel) -> NDArray[np.float64]:
    """Compute the present champion's loss of each course.

    A champion developed on these very courses knows their outcomes. It is then judged by its kind's
    held-out losses instead.
    """
    card = present.model.card
    if card.data_digest == digest_cohort(work.cohort) and card.candidate in work.comparison.losses:
        return work.comparison.losses[card.candidate]
    log_odds = present.model.equation.compute_log_odds(work.design.columns)[:, 0]
    return compute_log_loss(log_odds, work.design.outcome)
