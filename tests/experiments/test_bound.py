"""The ideal statistician, in small: knows the prior and follows Bayes' rule."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import ideal_sampler
from experiments.benchmarks.bound import OURS, score_others, score_told
from experiments.benchmarks.bound_page import END, Share, judge, share
from experiments.benchmarks.bound_prior import compare_priors
from experiments.benchmarks.bound_told import list_turned, tell_constants, tell_signs
from experiments.benchmarks.ideal import (
    SITES,
    Effort,
    Step,
    expect_excess,
    learn,
    predict,
    read_learned,
)
from experiments.benchmarks.ideal_sampler import (
    count_effective,
    find_centre,
    lead,
    move,
    start,
    weigh_prior,
)
from experiments.benchmarks.ideal_terms import complete, find_universe, read_courses
from experiments.benchmarks.ideal_truth import read_world
from experiments.benchmarks.ideal_worlds import (
    FIRST_CURVE,
    FIRST_PAIR,
    MAINS,
    SIZE,
    SLICES,
    draw_worlds,
    write_equations,
)
from experiments.benchmarks.samples import Plan, prepare, take_courses
from experiments.benchmarks.scores import compute_loss
from experiments.simulator import find_world, make_sites
from experiments.simulator.attainable import compute_level
from experiments.simulator.drawn import EVIDENCED, draw_plain_patients
from experiments.simulator.effects import PUBLISHED, combine_effects
from training.candidates import literature, update
from training.evidence import EFFECTS

ROOT = Path(__file__).parent.parent.parent
PLAN = Plan(most=250, tested=400, new_sites=10, draws=40)
EFFORT = Effort(worlds=80, sweeps=2, last_sweeps=3, tested_sweeps=20)
PLACE = SLICES["shift"].start


@dataclass(frozen=True)
class Measured:
    """One number of each world, measured with normal errors of variance 1/4."""

    before: tuple[float, ...]
    new: tuple[float, ...]

    def compute(self, worlds):
        place = worlds.normal[:, PLACE, None]
        return -2 * np.array([((place - one) ** 2).sum(axis=1) for one in (self.before, self.new)])

    def inform(self, worlds, part):
        information = np.zeros((SIZE, SIZE))
        information[PLACE, PLACE] = 4 * (len(self.before) + part * len(self.new))
        return information


@dataclass(frozen=True)
class OneOfTwo:
    """Courses that know two kinds of world apart, and nothing else: the third step in or out."""

    odds: float

    def compute(self, worlds):
        return np.stack([np.zeros(worlds.size), np.log(self.odds) * worlds.all_steps])

    def inform(self, worlds, part):
        return np.zeros((SIZE, SIZE))


@pytest.fixture(scope="module")
def world():
    return prepare("world-3", 0, PLAN)


@pytest.fixture(scope="module")
def learned(world):
    return read_learned(take_courses(world, 250), EFFORT)


@pytest.mark.parametrize("number", [1, 2, 6])
def test_a_world_read_back_is_the_world_that_was_drawn(number):
    world = find_world(f"world-{number}")
    equations = write_equations(read_world(number, world))
    patients = draw_plain_patients(world)
    true = world.strength * combine_effects(world.effects, patients, "acute")
    mine = find_universe().measure(patients) @ equations.sizes[:, 0]
    assert np.corrcoef(true, mine)[0, 1] > 0.99
    assert mine.std() == pytest.approx(true.std(), rel=0.06)
    sites = make_sites(world)
    assert equations.effects[:, 0] == pytest.approx(sites.effects, rel=1e-4)
    assert equations.slopes[:, 0] == pytest.approx(sites.slopes, rel=1e-4)
    assert equations.drift[0] == pytest.approx(world.drift, rel=1e-4)
    published = {effect.factors[0].unit: effect.later for effect in world.effects[:28]}
    ratio = equations.sizes[1:FIRST_CURVE, 0] / [published[unit] for unit in MAINS]
    curved = [MAINS.index(unit) for unit in ("age_decades", "bmi_sd")]  # curves have lines too
    assert np.delete(ratio, curved) == pytest.approx(world.strength, rel=0.06)


def test_worlds_drawn_at_once_are_like_those_that_the_simulator_draws():
    theirs = [find_world(f"world-{number}") for number in range(21, 61)]
    sizes = np.array([[e.later * w.strength for e in w.effects[:28]] for w in theirs])
    equations = write_equations(draw_worlds(2000, np.random.default_rng(0)))
    mine = equations.sizes[1:FIRST_CURVE].T
    keep = [n for n, unit in enumerate(MAINS) if unit not in ("age_decades", "bmi_sd")]
    error = sizes.std(axis=0) / np.sqrt(len(theirs))
    z = (sizes.mean(axis=0) - mine.mean(axis=0)) / error
    assert np.abs(z[keep]).max() < 4
    assert sizes[:, keep].std() == pytest.approx(mine[:, keep].std(), rel=0.1)
    crossed = np.count_nonzero(equations.sizes[FIRST_PAIR : FIRST_PAIR + 78], axis=0)
    assert crossed.mean() == pytest.approx(2.5, abs=0.1)  # two or three, rarely the same twice


def test_every_probability_is_the_simulators(world):
    name = find_world("world-3")
    equations = write_equations(read_world(3, name))
    courses = read_courses(world.known.columns, SITES)
    levels = equations.levels[courses.route, 0] + courses.years * equations.drift[0]
    true = compute_level(name, courses.known)
    assert np.corrcoef(levels, true)[0, 1] > 0.9999
    said = predict({("t", 0): read_world(3, name)}, world.known, False, EFFORT)["t", 0]
    excess = compute_loss(said.probability, world.known.attainable) - compute_loss(
        world.known.attainable, world.known.attainable
    )
    assert excess < 0.001


def test_the_same_patient_is_completed_within_what_is_recorded(world):
    courses = read_courses(world.known.columns, SITES)
    tables = list(complete(courses, 2, [1]))
    women = tables[0][: courses.size, 1 + MAINS.index("female")]
    recorded = courses.known["female"]
    there = ~np.isnan(recorded)
    assert (women[there] == recorded[there]).all()
    assert 0 < women[~there].mean() < 1 or not (~there).any()


def test_of_two_kinds_of_world_each_has_its_posterior_share():
    generator = np.random.default_rng(1)
    cloud = lead(start(4000, generator), OneOfTwo(3.0), 1, 3, generator)
    assert cloud.worlds.all_steps.mean() == pytest.approx(3 / 4, abs=0.03)
    weighed, effective = weigh_prior(OneOfTwo(3.0), 4000, 1000, generator)
    assert weighed.all_steps.mean() == pytest.approx(3 / 4, abs=0.03)
    assert effective == pytest.approx(4000 * 4 / 5, rel=0.03)  # (1/2 + 3/2)^2 / (1/2 + 9/2)


def test_a_measured_number_has_the_posterior_of_the_textbook():
    generator = np.random.default_rng(2)
    cloud = lead(start(2000, generator), Measured((), (1.0,)), 2, 2, generator)
    cloud = lead(cloud, Measured((1.0,), (2.0,)), 2, 4, generator)
    moved = cloud.worlds.normal[:, PLACE]
    # Precision 1 + 4 + 4, mean (4 + 8) / 9.
    assert moved.mean() == pytest.approx(12 / 9, abs=0.04)
    assert moved.std() == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("name", sorted({*ideal_sampler.MOVES}))
def test_with_no_courses_every_move_leaves_the_prior_as_it_is(name, monkeypatch):
    monkeypatch.setattr(ideal_sampler, "MOVES", (name,) * 20)
    nothing, generator = OneOfTwo(1.0), np.random.default_rng(3)
    cloud = start(2000, generator)
    centre = find_centre(cloud.worlds, nothing, 1.0, generator)
    moved = move(cloud, nothing, 1.0, centre, 1, generator)
    normal = moved.worlds.normal
    assert np.abs(normal.mean(axis=0)).max() < 0.12
    assert normal.std(axis=0) == pytest.approx(np.ones(SIZE), abs=0.08)
    assert np.bincount(moved.worlds.wrong).min() > 85  # 125 of each sign are expected


def test_the_ideal_starts_at_the_mean_of_all_worlds_and_comes_nearer_the_truth(world, learned):
    found = {}
    for size, cloud, _ in learn(learned, (0, 60, 250), EFFORT, np.random.default_rng(4)):
        found["ideal", size] = cloud.worlds
    many = draw_worlds(400, np.random.default_rng(5))
    said = predict({**found, ("prior", 0): many}, world.known, False, EFFORT)
    away = said["ideal", 0].probability - said["prior", 0].probability
    assert np.abs(away).mean() < 0.02
    losses = [compute_loss(said["ideal", n].probability, world.known.attainable) for n in (0, 250)]
    assert losses[1] < losses[0]
    excesses = [said["ideal", size].excess for size in (0, 60, 250)]
    assert excesses == sorted(excesses, reverse=True)


def test_information_is_that_of_the_likelihood(learned):
    # The mean of the score is 0 and its variance is the information: checked on one number.
    step, truth = Step(learned, 0, 60), draw_worlds(1, np.random.default_rng(6))
    information = step.inform(truth, 1.0)[PLACE, PLACE]
    nudged = np.repeat(truth.normal, 3, axis=0)
    nudged[:, PLACE] += [-0.2, 0.0, 0.2]
    many = truth.select(np.zeros(3, dtype=int))
    values = step.compute(replace(many, normal=nudged))[1]
    curvature = -(values[0] - 2 * values[1] + values[2]) / 0.04
    assert information == pytest.approx(curvature, rel=0.15)


def test_equal_weights_count_in_full_and_no_difference_costs_nothing():
    assert count_effective(np.zeros(7)) == pytest.approx(7)
    # By hand: .8 ln(.8/.6) + .2 ln(.2/.4)
    told = expect_excess(np.array([0.6]), np.array([[0.8]]))
    assert told == pytest.approx(0.8 * np.log(4 / 3) - 0.2 * np.log(2))


def test_the_error_of_a_share_is_that_of_a_mean_where_gains_are_equal():
    rows = [{"base_rate": 0.7, "attainable": 0.6, "ideal": 0.7 - gain} for gain in (0.02, 0.04)]
    whole, error = share(rows, "ideal")
    assert whole == pytest.approx(0.3)
    assert error == pytest.approx(0.1)  # sd of .2 and .4 over the root of 2


def test_a_target_above_the_bound_is_out_of_reach_and_one_that_was_reached_is_not():
    shares = [
        Share(60, "known", "ideal", 20, 0.30, 0.02),
        Share(60, "unseen", "ideal", 20, 0.50, 0.02),
        Share(1000, "known", "ideal", 4, 0.70, 0.02),
        Share(1000, "known", "told", 20, 0.85, 0.01),
    ]
    verdicts = {(one["courses"], one["place"]): one["verdict"] for one in judge(shares)}
    assert verdicts[60, "known"].startswith("OUT OF REACH")
    assert verdicts[60, "unseen"] == "was reached"
    assert verdicts[1000, "known"].startswith("between")


def test_the_quick_command_says_that_it_is_simulated(tmp_path):
    command = [sys.executable, "-m", "experiments", "benchmark", "bound", "--quick", "--json"]
    environment = {**os.environ, "KETAMINE_RESPONSE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    for _ in range(2):  # the second time from the file
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        told = json.loads(done.stdout)
        assert told["data"] == "SIMULATED"
        kinds = {(one["kind"], one["courses"]) for one in told["shares"]}
        assert {("ideal", 0), ("ideal", 60), ("checked", 60), ("told", 250)} <= kinds
    assert len((tmp_path / "benchmarks" / "bound.jsonl").read_text().splitlines()) == 1


def test_the_prior_of_drawn_worlds_is_told_beside_ours():
    discount, route, base_rate = (row[1] for row in compare_priors())
    drawn = [find_world(f"world-{number}") for number in range(21, 51)]
    routes = [[e.later * w.strength for e in w.effects[23:28]] for w in drawn]
    assert float(route.split("(")[1][:-1]) == pytest.approx(np.std(routes), abs=0.03)
    assert 0 < float(discount.split()[0]) < 1
    assert float(base_rate.split("(")[1][:-1]) > 0.25  # that of the shift alone


def test_the_page_has_the_marks_that_results_go_between():
    assert END in (ROOT / "docs" / "benchmarks" / "bound.md").read_text("utf-8")


def read_constants():
    return update.DISCOUNT, update.BASE_RATE_SPREAD, literature.ROUTE_SPREAD, literature.EFFECTS


def test_what_is_told_of_a_world_is_forgotten_afterwards():
    before = read_constants()
    with tell_constants(), tell_signs(find_world("world-1")):
        during = read_constants()
    assert all(told != kept for told, kept in zip(during, before, strict=True))
    assert read_constants() == before


def test_the_signs_told_are_those_of_the_world():
    world = find_world("world-1")
    drawn = dict(zip((one.factors[0].unit for one in PUBLISHED), world.effects, strict=False))
    with tell_signs(world):
        told = literature.EFFECTS
    for unit, effect in drawn.items():
        assert told[EVIDENCED.get(unit, unit)].later * effect.later >= 0
    assert sum(told[name] != EFFECTS[name] for name in EFFECTS) == len(list(list_turned(world))) > 0


def test_our_candidate_heeds_what_it_is_told():
    prepared = prepare("world-1", 0, PLAN)
    plain = score_others(prepared, prepared.known, 60, PLAN)
    told = score_told("world-1", prepared, prepared.known, 60, PLAN)
    losses = [plain[OURS], told["told_constants"], told["told_signs"]]
    assert len(set(losses)) == 3
    assert min(losses) > plain["attainable"]
