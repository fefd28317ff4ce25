"""The benchmark of models: worlds, numbers of courses and methods, scored against the truth."""

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from joblib import delayed

import features
import training
from experiments import simulator
from experiments.benchmarks import samples, scores
from experiments.benchmarks.methods.methods import (
    ANSWER_AT_ONCE,
    OURS,
    Place,
    answer,
    find_version,
)
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.results import Result, Results
from experiments.benchmarks.samples import STUDY, Plan, prepare
from features.base.commands import say, track
from features.base.errors import InputError, Problem
from features.base.files import digest_sources, list_sources
from training.study.split import derive_seed
from training.validation.resample import spread

NULL = "null"
METHODS = (*OURS, *PEERS)
METHOD_SEED = 5


@dataclass(frozen=True)
class Task:
    """One method, fitted once.

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
    method: str
    plan: Plan

    @property
    def key(self) -> str:
        """Digest of all that the result depends on."""
        told = {**asdict(self), "sources": digest_samples(), "version": tell_version(self.method)}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Request:
    """What is to be compared.

    Parameters
    ----------
    worlds
        Number of drawn worlds: ``world-1`` and so on.
    null_cohorts
        Number of cohorts of the null world, for our methods alone.
    """

    worlds: int
    null_cohorts: int
    sizes: tuple[int, ...]
    methods: tuple[str, ...]
    plan: Plan

    def list_tasks(self) -> list[Task]:
        """List what is to be done, a world's tasks together."""
        places = [(f"world-{number}", 0) for number in range(1, 1 + self.worlds)]
        places += [(NULL, number) for number in range(self.null_cohorts)]
        return [
            Task(world, cohort, courses, method, self.plan)
            for world, cohort in places
            for courses in self.sizes
            for method in self.methods
            if answers(method, world, courses)
        ]


def answers(method: str, world: str, courses: int) -> bool:
    """Tell whether a method is asked: not a peer in a null world, nor what needs courses to fit."""
    if method in PEERS:
        return courses > 0 and world != NULL
    return courses > 0 or method in ANSWER_AT_ONCE


@cache
def digest_samples() -> str:
    """Compute the digest of what the samples and their scores depend on.

    Worlds are drawn about the evidence table of training.
    """
    paths = [*list_sources(simulator, ["*.py"]), STUDY]
    paths += [*list_sources(training, ["evidence.*"]), *list_sources(features, ["fields.toml"])]
    paths += [Path(str(module.__file__)) for module in (samples, scores)]
    return digest_sources(paths, {})


@cache
def tell_version(method: str) -> str:
    """Tell a method's version; found once."""
    return find_version(method)


def choose_methods(only: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Choose the methods by name, all by default; return those that can run, and why others cannot.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    asked = tuple(name.strip() for name in only.split(",")) if only else METHODS
    if unknown := [name for name in asked if name not in METHODS]:
        message = f"has no {', '.join(unknown)}; there are: {', '.join(METHODS)}"
        raise InputError([Problem("--only", "category", message)])
    absent = {name: PEERS[name].absent for name in asked if name in PEERS}
    skipped = {name: f"not installed: {', '.join(why)}" for name, why in absent.items() if why}
    return tuple(name for name in asked if name not in skipped), skipped


def run_benchmark(
    request: Request, results: Results, jobs: int, again: bool = False
) -> list[Result]:
    """Do what has not been done yet, and return all results asked for.

    Parameters
    ----------
    again
        Whether to do anew what has been done.
    """
    tasks = request.list_tasks()
    done = {} if again else results.read_latest()
    left = [task for task in tasks if task.key not in done]
    if len(left) < len(tasks):
        say(f"{len(tasks) - len(left)} of {len(tasks)} results are there already")
    log = results.path.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    found = spread(jobs, (delayed(run_task)(task, task.key, log) for task in left))
    for result in track(found, len(left), "models"):
        results.add(result)
    known = results.read_latest()
    return [known[task.key] for task in tasks]


def run_task(task: Task, key: str, log: Path) -> Result:
    """Fit one method and score it; what it has to say goes into the log."""
    with keep_words(log, task):
        world = prepare(task.world, task.cohort, task.plan)
        place = Place(task.world, task.cohort, task.courses, task.plan)
        seed = derive_seed(task.plan.seed, task.cohort, METHOD_SEED)
        said = answer(task.method, place, seed)
    told: dict[str, Any] = {name: value for name, value in asdict(task).items() if name != "plan"}
    return {
        "key": key,
        "data": "SIMULATED",
        **told,
        "picked": said.picked,
        "seconds": round(said.seconds, 3),
        "known": scores.score(said.known, world.known),
        "unseen": scores.score(said.unseen, world.unseen),
    }


@contextlib.contextmanager
def keep_words(log: Path, task: Task) -> Iterator[None]:
    """Put what models print, and each warning, into the log instead of on the screen."""
    with log.open("a", encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("default")
        file.write(f"{task.world} {task.cohort} {task.courses} {task.method}\n")
        with contextlib.redirect_stderr(file), contextlib.redirect_stdout(file):
            yield


def parse_sizes(text: str) -> tuple[int, ...]:
    """Read numbers of courses.

    Examples
    --------
    >>> parse_sizes("0, 250,60")
    (0, 60, 250)
    """
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = [-1]
    if sizes[0] < 0:
        raise InputError([Problem("--sizes", "form", "must be numbers of courses, as in 0,60,250")])
    return tuple(sizes)
