"""Methods: our candidates, the choice that `fit` makes among them, and peers, on equal terms."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from time import process_time

import numpy as np

import features
import training
from experiments import simulator
from experiments.benchmarks import samples, scores
from experiments.benchmarks.methods import peers
from experiments.benchmarks.results import make_key
from experiments.benchmarks.samples import STUDY, Plan, Prepared, prepare_world, take_courses
from features.base.arrays import Numbers
from features.base.files import digest_sources, list_sources
from features.model.equation import ALL_VERSIONS, Equation
from features.model.prediction import Prediction, summarise_versions
from training.candidates.registry import make_candidates
from training.measures.logistic import logit
from training.measures.losses import choose_candidate, compute_log_loss
from training.study.design import Design
from training.study.parts import ESTIMATE_LEVEL
from training.study.seeds import FINAL_SEED, derive_seed
from training.study.split import MIN_CLASS_PER_FOLD
from training.validation.procedure import Contest
from training.validation.resample import redevelop
from training.validation.runs import run_unit
from training.validation.units import list_folds

CANDIDATES = make_candidates()

CHOSEN, BASE_RATE = "chosen", "base_rate"
OURS = (CHOSEN, *CANDIDATES)
PREDICTS_WITHOUT_COURSES = (CHOSEN, "evidence_prior", "anchored_xgboost", BASE_RATE)


@dataclass(frozen=True)
class ModelTask:
    """One method, fitted once."""

    world: str
    cohort: int  # The world's cohort, by number
    courses: int  # Number of training courses
    method: str
    plan: Plan

    @property
    def key(self) -> str:
        """Digest of everything that the result depends on."""
        digests = {"sources": _digest_samples(), "version": digest_method(self.method)}
        return make_key(asdict(self) | digests)

    def prepare(self) -> tuple[Prepared, Design]:
        """Draw the world's samples, and the training courses."""
        world = prepare_world(self.world, self.cohort, self.plan)
        return world, take_courses(world, self.courses)


@dataclass(frozen=True)
class SamplePredictions:
    """A method's predictions of both samples."""

    # known, unseen: at the world's own sites, and at new ones; interval limits are NaN if the
    # method has none
    known: Prediction
    unseen: Prediction
    selected: str  # The candidate behind it
    # Processor time of fitting with all that belongs to it, but for the bootstrap refits
    seconds: float


@cache
def _digest_samples() -> str:
    # Worlds are drawn about the evidence table of training.
    paths = [*list_sources(simulator, ["*.py", "*.toml"]), STUDY]
    paths += [Path(str(module.__file__)) for module in (samples, scores)]
    return digest_sources(paths, {})


def label_method(name: str) -> str:
    """Return a method's name for people."""
    if name == CHOSEN:
        return "the model that `fit` chooses"
    return peers.PEERS[name].label if name in peers.PEERS else f"`{name}`"


def digest_method(name: str) -> str:
    """Digest what a method's predictions depend on: its sources and packages."""
    if name in peers.PEERS:
        paths = [Path(str(peers.__file__))]
        versions: Mapping[str, str] = peers.PEERS[name].versions
    else:
        # Everything, rather than a list of files that would silently go out of date.
        paths = [Path(__file__), *list_sources(training, ["**/*.py", "**/*.toml"])]
        paths += list_sources(features, ["**/*.py", "**/*.toml"])
        versions = {"scikit-learn": version("scikit-learn")}
    return digest_sources(paths, versions)


def predict_samples(task: ModelTask, seed: int) -> SamplePredictions:
    """Fit the task's method and predict both samples."""
    if task.method in peers.PEERS:
        return _predict_by_peer(task, seed)
    world, design = task.prepare()
    start = process_time()
    study = world.study.model_copy(update={"seed": seed})
    selected = task.method
    if selected == CHOSEN:
        selected = _choose_candidate(replace(design, study=study))
    choosing = process_time() - start
    equation, fitting = _develop(replace(task, method=selected), seed)
    known, unseen = (
        # As serving does.
        summarise_versions(equation.compute_log_odds(sample.columns, ALL_VERSIONS), ESTIMATE_LEVEL)
        for sample in (world.known, world.unseen)
    )
    return SamplePredictions(known, unseen, selected, choosing + fitting)


# The seconds are of the fit alone, without its bootstrap refits.
@lru_cache(maxsize=len(CANDIDATES))  # the choice is one of the candidates that are tried alone too
def _develop(task: ModelTask, seed: int) -> tuple[Equation, float]:
    world, design = task.prepare()
    candidate = CANDIDATES[task.method]
    design = replace(design, study=world.study.model_copy(update={"seed": seed}))
    start = process_time()
    fit = candidate.fit(design, derive_seed(seed, FINAL_SEED))
    seconds = process_time() - start
    return redevelop(design, candidate, fit, jobs=1), seconds


# As `fit` chooses: one repeat of nested cross-validation, the rule of one error.
def _choose_candidate(design: Design) -> str:
    study = design.study
    smaller_class = min(design.events, design.size - design.events)
    folds = min(study.validation.folds, smaller_class // MIN_CLASS_PER_FOLD)
    if folds < 2:
        return study.candidates[0]
    validation = study.validation.model_copy(update={"folds": folds, "repeats": 1})
    design = replace(design, study=study.model_copy(update={"validation": validation}))
    contest = Contest({name: CANDIDATES[name] for name in study.candidates})
    losses: dict[str, Numbers] = {name: np.empty(design.size) for name in study.candidates}
    for unit in list_folds(design)[0]:
        _, answer = run_unit(contest, design, unit)
        for name, log_odds in answer.log_odds.items():
            losses[name][unit.test] = compute_log_loss(log_odds, design.outcome[unit.test])
    return choose_candidate(losses, design.patients)


def _predict_by_peer(task: ModelTask, seed: int) -> SamplePredictions:
    world, design = task.prepare()
    fields = world.study.list_fields()
    table = peers.make_table(design.columns, fields)
    start = process_time()
    predict = peers.PEERS[task.method].fit(table, design.outcome, seed)
    seconds = process_time() - start
    known, unseen = (
        _without_intervals(predict(peers.make_table(sample.columns, fields)))
        for sample in (world.known, world.unseen)
    )
    return SamplePredictions(known, unseen, task.method, seconds)


def _without_intervals(probability: Numbers) -> Prediction:
    unknown = np.full(len(probability), np.nan)
    return Prediction(logit(probability), probability, unknown, unknown, unknown)
