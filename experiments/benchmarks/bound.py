"""How far any method could come: what the ideal statistician reaches from so many courses."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments import benchmarks
from experiments.benchmarks.bound_told import tell_constants, tell_signs
from experiments.benchmarks.ideal import (
    Effort,
    Learned,
    learn,
    predict,
    read_learned,
    start_at_truth,
)
from experiments.benchmarks.ideal_sampler import weigh_prior
from experiments.benchmarks.ideal_told import expect_told
from experiments.benchmarks.methods import BASE_RATE, FINAL_SEED, ask
from experiments.benchmarks.models import METHOD_SEED, digest_samples, tell_version
from experiments.benchmarks.results import Result, Results
from experiments.benchmarks.samples import Plan, Prepared, Sample, prepare, take_courses
from experiments.benchmarks.scores import SUREST, compute_loss
from experiments.simulator import find_world
from features.commands import say, track
from training.candidates import CANDIDATES
from training.split import derive_seed

OURS = "evidence_prior"
# Importance sampling from the prior wants ever more worlds; up to so many courses it is a check.
CHECKED_UP_TO = 60
SOURCES = (
    "ideal.py",
    "ideal_told.py",
    "ideal_terms.py",
    "ideal_truth.py",
    "ideal_worlds.py",
    "ideal_sampler.py",
    "bound.py",
    "bound_prior.py",
    "bound_told.py",
)


@dataclass(frozen=True)
class Request:
    """What is to be found.

    Parameters
    ----------
    worlds
        Drawn worlds, from ``world-1`` on.
    sizes, few_sizes
        Numbers of courses for all worlds, and for the first `few` of them, which take long.
    told_sizes
        Numbers of courses for which only the bound from above is found in the other worlds.
    """

    worlds: int = 20
    sizes: tuple[int, ...] = (0, 60, 250)
    few: int = 4
    few_sizes: tuple[int, ...] = (1000,)
    told_sizes: tuple[int, ...] = (1000, 4000)
    plan: Plan = field(default_factory=Plan)
    effort: Effort = field(default_factory=Effort)

    def list_sizes(self, number: int) -> tuple[int, ...]:
        """List the numbers of courses for a world."""
        return (*self.sizes, *self.few_sizes) if number <= self.few else self.sizes


QUICK = Request(
    1,
    sizes=(0, 60),
    few=0,
    told_sizes=(250,),
    plan=Plan(250, tested=400, new_sites=10, draws=20),
    effort=Effort(worlds=60, sweeps=1, last_sweeps=2, tested_sweeps=5, checked=1000),
)


def run_bound(request: Request, results: Results) -> list[Result]:
    """Find what has not been found yet, world by world, and return all results asked for."""
    keys = {n: make_key(f"world-{n}", request, n) for n in range(1, request.worlds + 1)}
    done = results.read_latest()
    left = [number for number, key in keys.items() if key not in done]
    for number in track(left, len(left), "worlds"):
        rows = list(run_world(f"world-{number}", request.list_sizes(number), request))
        results.add({"key": keys[number], "data": "SIMULATED", "rows": rows})
    done = results.read_latest()
    return [row for key in keys.values() for row in done[key]["rows"]]


def make_key(world: str, request: Request, number: int) -> str:
    """Compute the digest of all that a world's results depend on."""
    folder = Path(str(benchmarks.__file__)).parent
    told = {
        "world": world,
        "sizes": request.list_sizes(number),
        "plan": asdict(request.plan),
        "effort": asdict(request.effort),
        "samples": digest_samples(),
        "versions": [tell_version(OURS), tell_version(BASE_RATE)],
        "sources": [hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in SOURCES],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def run_world(name: str, sizes: tuple[int, ...], request: Request) -> Iterator[Result]:
    """Find what the ideal statistician and our candidate reach in one world."""
    prepared, effort = prepare(name, 0, request.plan), request.effort
    every = sorted({*sizes, *request.told_sizes})
    learned = read_learned(take_courses(prepared, max(every)), effort)
    clouds, effective = follow(name, learned, sizes, effort)
    rows: dict[int, dict[str, Any]] = {
        size: {"world": name, "courses": size, "effective": effective.get(size)} for size in every
    }
    for place, sample in (("known", prepared.known), ("unseen", prepared.unseen)):
        told = expect_told(find_world(name), learned, every, sample, place == "unseen")
        said = predict(clouds, sample, place == "unseen", effort)
        for size, row in rows.items():
            found = {kind: one for (kind, count), one in said.items() if count == size}
            row[place] = score_others(prepared, sample, size, request.plan)
            row[place] |= score_told(name, prepared, sample, size, request.plan)
            for kind, one in found.items():
                row[place][kind] = compute_loss(one.probability, sample.attainable)
            if "ideal" in found:
                row[place]["expected"] = row[place]["attainable"] + found["ideal"].excess
            row[place]["told"] = row[place]["attainable"] + told[size]
    yield from rows.values()


def follow(
    name: str, learned: Learned, sizes: tuple[int, ...], effort: Effort
) -> tuple[dict[tuple[str, int], Any], dict[int, float]]:
    """Follow the posterior from size to size, with its checks.

    Returns
    -------
    tuple
        Worlds by kind and number of courses; and, for what was checked by importance sampling,
        how many equally weighted worlds its weighted ones are worth.
    """
    generator = np.random.default_rng([effort.seed, int(name.split("-")[1])])
    clouds, effective = {}, {}
    for size, cloud, step in learn(learned, sizes, effort, generator):
        clouds["ideal", size] = cloud.worlds
        if step is None:
            continue
        truth = find_world(name)
        clouds["from_truth", size] = start_at_truth(truth, cloud, step, effort, generator)
        if size <= CHECKED_UP_TO:
            worlds, effective[size] = weigh_prior(step, effort.checked, effort.worlds, generator)
            clouds["checked", size] = worlds
    return clouds, effective


def score_others(world: Prepared, sample: Sample, size: int, plan: Plan) -> dict[str, Any]:
    """Score the base rate, our candidate and the attainable probability, as the benchmark does."""
    losses = {name: score_method(name, world, sample, size, plan) for name in (OURS, BASE_RATE)}
    return {"attainable": compute_loss(sample.attainable, sample.attainable)} | losses


def score_told(
    name: str, world: Prepared, sample: Sample, size: int, plan: Plan
) -> dict[str, float]:
    """Score our candidate when it is told the simulator's constants, and wrong signs as well."""
    with tell_constants():
        constants = score_method(OURS, world, sample, size, plan)
        with tell_signs(find_world(name)):
            signs = score_method(OURS, world, sample, size, plan)
    return {"told_constants": constants, "told_signs": signs}


def score_method(name: str, world: Prepared, sample: Sample, size: int, plan: Plan) -> float:
    """Score one method that learns from so many courses."""
    seed = derive_seed(derive_seed(plan.seed, 0, METHOD_SEED), FINAL_SEED)
    equation = CANDIDATES[name].fit(take_courses(world, size), seed).equation
    said = ask(equation, sample.columns, world.study.uncertainty.level).probability
    return compute_loss(np.clip(said, SUREST, 1 - SUREST), sample.attainable)


def find_bound(request: Request, folder: Path) -> list[Result]:
    """Find all rows, from the file in a folder as far as they are there."""
    results = Results(folder / "bound.jsonl")
    rows = run_bound(request, results)
    say(f"{len(rows)} rows in {results.path.name}")
    return rows
