"""Methods: our candidates, the choice that `fit` makes among them, and peers; all asked alike."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import process_time

import numpy as np

import features
import training
from experiments.benchmarks.methods import peers, regressions, table
from experiments.benchmarks.samples import Plan, Prepared, prepare, take_courses
from features.base.arrays import Numbers
from features.base.files import digest_sources, list_sources
from features.model.equation import ALL_VERSIONS, Equation
from features.model.response_model import Prediction, summarise_versions
from features.records.columns import Columns
from training.candidates import CANDIDATES
from training.measures.logistic import logit
from training.measures.losses import choose_candidate, compute_log_loss
from training.study.design import Design
from training.study.split import EVENTS_A_FOLD, derive_seed
from training.study.study import Study
from training.validation.procedure import Contest
from training.validation.resample import redevelop
from training.validation.runs import run_unit
from training.validation.units import list_folds

CHOSEN, BASE_RATE = "chosen", "base_rate"
CHOSEN_LABEL = "the model that `fit` chooses"
OURS = (CHOSEN, *CANDIDATES)
# These answer before there is any course to learn from.
ANSWER_AT_ONCE = (CHOSEN, "evidence_prior", "anchored_xgboost", BASE_RATE)
# Place of the seed of the final fit, as in a run; importing a run would import MLflow.
FINAL_SEED = 4
# What an answer of ours depends on beside the plan.
SOURCES = (
    *("candidates/*.py", "laplace.py", "sparsity.py", "evidence.*", "calibration.py"),
    *("recalibration.py", "resample.py", "split.py", "losses.py", "design.py", "tuning.py"),
    *("lasso.py", "validation/procedure.py", "validation/runs.py", "validation/units.py"),
)
SHARED_SOURCES = ("equation.py", "terms.py", "trees.py", "matrix.py", "response_model.py")


@dataclass(frozen=True)
class Place:
    """Where a method is tried.

    Parameters
    ----------
    cohort
        Which cohort of the world: a world may be tried on several.
    courses
        Number of courses to learn from.
    """

    world: str
    cohort: int
    courses: int
    plan: Plan

    def prepare(self) -> tuple[Prepared, Design]:
        """Draw the world's samples, and the courses to learn from."""
        world = prepare(self.world, self.cohort, self.plan)
        return world, take_courses(world, self.courses)


@dataclass(frozen=True)
class Answer:
    """What a method says of the samples.

    Parameters
    ----------
    known, unseen
        At the world's own sites, and at sites that it has not seen; intervals are NaN where the
        method has none.
    picked
        The candidate behind it.
    seconds
        Of a processor that fitting took, with all that belongs to it but the re-developments.
    """

    known: Prediction
    unseen: Prediction
    picked: str
    seconds: float


def label_method(name: str) -> str:
    """Tell a method's name to people."""
    if name == CHOSEN:
        return CHOSEN_LABEL
    return peers.PEERS[name].label if name in peers.PEERS else f"`{name}`"


def find_version(name: str) -> str:
    """Compute the digest of what a method's answers depend on: its sources and packages."""
    if name in peers.PEERS:
        paths = [Path(str(module.__file__)) for module in (peers, regressions, table)]
        versions: Mapping[str, str] = peers.PEERS[name].versions
    else:
        paths = [Path(__file__), *list_sources(training, SOURCES)]
        paths += list_sources(features, SHARED_SOURCES)
        versions = {"scikit-learn": importlib.metadata.version("scikit-learn")}
    return digest_sources(paths, versions)


def answer(name: str, place: Place, seed: int) -> Answer:
    """Fit a method and ask it about both samples."""
    if name in peers.PEERS:
        return answer_peer(name, place, seed)
    return answer_ours(name, place, seed)


def answer_ours(name: str, place: Place, seed: int) -> Answer:
    """Fit one of ours, and its re-developments for the intervals."""
    world, design = place.prepare()
    start = process_time()
    picked = choose(make_study(world, seed), design) if name == CHOSEN else name
    choosing = process_time() - start
    equation, fitting = develop(picked, place, seed)
    level = world.study.uncertainty.level
    known, unseen = (ask(equation, one.columns, level) for one in (world.known, world.unseen))
    return Answer(known, unseen, picked, choosing + fitting)


@lru_cache(maxsize=len(CANDIDATES))
def develop(name: str, place: Place, seed: int) -> tuple[Equation, float]:
    """Fit a candidate with its re-developments, and tell how long the fit alone took.

    Kept, as what `fit` chooses is one of those that are asked alone too.
    """
    world, design = place.prepare()
    start = process_time()
    fit = CANDIDATES[name].fit(design, derive_seed(seed, FINAL_SEED))
    seconds = process_time() - start
    return redevelop(make_study(world, seed), design, name, fit, jobs=1), seconds


def make_study(world: Prepared, seed: int) -> Study:
    """Make the study of a world with a seed."""
    return world.study.model_copy(update={"seed": seed})


def choose(study: Study, design: Design) -> str:
    """Choose as `fit` does: one repeat of nested cross-validation, the rule of one error."""
    folds = min(study.validation.folds, count_rarer(design) // EVENTS_A_FOLD)
    if folds < 2:
        return study.candidates[0]
    validation = study.validation.model_copy(update={"folds": folds, "repeats": 1})
    study = study.model_copy(update={"validation": validation})
    contest = Contest({name: CANDIDATES[name] for name in study.candidates})
    losses: dict[str, Numbers] = {name: np.empty(design.size) for name in study.candidates}
    for unit in list_folds(study, design)[0]:
        _, answer = run_unit(contest, design, unit)
        for name, log_odds in answer.log_odds.items():
            losses[name][unit.test] = compute_log_loss(log_odds, design.outcome[unit.test])
    return choose_candidate(losses, design.patients)


def count_rarer(design: Design) -> int:
    """Count the courses with the rarer outcome."""
    return min(design.events, design.size - design.events)


def ask(equation: Equation, columns: Columns, level: float) -> Prediction:
    """Ask an equation about courses, as serving does."""
    return summarise_versions(equation.compute_log_odds(columns, ALL_VERSIONS), level)


def answer_peer(name: str, place: Place, seed: int) -> Answer:
    """Fit a peer on the same courses and fields."""
    world, design = place.prepare()
    fields = world.study.list_fields()
    learned = table.make_table(design.columns, fields)
    start = process_time()
    predict = peers.PEERS[name].fit(learned, design.outcome, seed)
    seconds = process_time() - start
    known, unseen = (
        take_prediction(predict(table.make_table(sample.columns, fields)))
        for sample in (world.known, world.unseen)
    )
    return Answer(known, unseen, name, seconds)


def take_prediction(probability: Numbers) -> Prediction:
    """Take probabilities as a prediction without intervals."""
    unknown = np.full(len(probability), np.nan)
    return Prediction(logit(probability), probability, unknown, unknown, unknown)
