"""The benchmark of models: worlds, numbers of courses and methods, scored against the truth."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from joblib import delayed

from experiments.benchmarks import scores
from experiments.benchmarks.methods.methods import (
    OURS,
    PREDICTS_WITHOUT_COURSES,
    ModelTask,
    predict_samples,
)
from experiments.benchmarks.methods.peers import PEERS
from experiments.benchmarks.models.summary import NULL
from experiments.benchmarks.results import Result, Results, complete_results, parse_names
from experiments.benchmarks.samples import Plan, prepare_world
from features.base.commands import track
from features.base.errors import InputError, Problem
from training.study.seeds import derive_seed
from training.validation.resample import spread

METHODS = (*OURS, *PEERS)
_METHOD_SEED = 5


@dataclass(frozen=True)
class ModelRequest:
    """What is to be compared."""

    worlds: int  # Number of drawn worlds: ``world-1`` and so on
    null_cohorts: int  # Number of cohorts of the null world, for our methods alone
    sizes: tuple[int, ...]  # Numbers of training courses
    methods: tuple[str, ...]
    plan: Plan

    def list_tasks(self) -> list[ModelTask]:
        """List the tasks, those of a world together."""
        cohorts = [(f"world-{number}", 0) for number in range(1, 1 + self.worlds)]
        cohorts += [(NULL, number) for number in range(self.null_cohorts)]
        return [
            ModelTask(world, cohort, courses, method, self.plan)
            for world, cohort in cohorts
            for courses in self.sizes
            for method in self.methods
            if _can_answer(method, world, courses)
        ]


def _can_answer(method: str, world: str, courses: int) -> bool:
    if method in PEERS:
        return courses > 0 and world != NULL
    return courses > 0 or method in PREDICTS_WITHOUT_COURSES


def choose_methods(only: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Choose methods by name, all by default; return those that can run, and why others cannot.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    names = parse_names(only, METHODS)
    absent = {name: PEERS[name].absent for name in names if name in PEERS}
    skipped = {name: f"not installed: {', '.join(why)}" for name, why in absent.items() if why}
    return tuple(name for name in names if name not in skipped), skipped


def run_models(
    request: ModelRequest, results: Results, jobs: int, again: bool = False
) -> list[Result]:
    """Compare the methods; results that are there already are kept unless ``again``."""
    tasks = request.list_tasks()
    keys = [task.key for task in tasks]
    log = results.path.with_suffix(".log")

    def run(indices: list[int]) -> Iterable[Result]:
        log.parent.mkdir(parents=True, exist_ok=True)
        calls = (delayed(_run_task)(tasks[index], keys[index], log) for index in indices)
        return track(spread(jobs, calls), len(indices), "models")

    return complete_results(results, keys, run, again)


def _run_task(task: ModelTask, key: str, log: Path) -> Result:
    with _redirect_output(log, task):
        world = prepare_world(task.world, task.cohort, task.plan)
        seed = derive_seed(task.plan.seed, task.cohort, _METHOD_SEED)
        prediction = predict_samples(task, seed)
    facts = {name: value for name, value in asdict(task).items() if name != "plan"}
    return {
        "key": key,
        "data": "SIMULATED",
        **facts,
        "picked": prediction.selected,
        "seconds": round(prediction.seconds, 3),
        "known": scores.score_prediction(prediction.known, world.known),
        "unseen": scores.score_prediction(prediction.unseen, world.unseen),
    }


# What models print, and each warning, goes to the log.
@contextlib.contextmanager
def _redirect_output(log: Path, task: ModelTask) -> Iterator[None]:
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
