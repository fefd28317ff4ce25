"""Worlds and sites: named ones are bit-identical, drawn ones differ from any prior."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from experiments.simulator import WORLDS, draw_new_sites, find_world, make_sites, simulate
from experiments.simulator.effects import PUBLISHED, UNITS, combine_effects
from experiments.simulator.outcomes import compute_truth, make_followups
from experiments.simulator.patients import make_patients
from experiments.simulator.published import MISSING
from experiments.simulator.world import BY_FORM
from experiments.simulator.worlds import (
    DECOYS,
    compute_oracle_auc,
    draw_plain_patients,
    draw_published,
    draw_world,
    get_evidence_spread,
)
from features.base.errors import InputError
from features.dictionary.dictionary import load_dictionary

KNOWN = len(PUBLISHED) + len(DECOYS)
# Of 250 patients of seed 4, computed before worlds had their own effects.
DIGESTS = {
    "default": ("c279146cd2325dbd", "0bee864a9233379b"),
    "weak": ("be2da42191d1ea40", "23c3e3469ce1aa59"),
    "strong": ("d8c310f933c96120", "6f373659cd8f0222"),
    "stress": ("9ac40b278482a047", "0bee864a9233379b"),
    "null": ("6ca7c5e39644c1dd", "9500df7638d5a3ac"),
}


@pytest.fixture(scope="module")
def worlds():
    return [find_world(f"world-{seed}") for seed in range(10)]


def digest(table):
    """Digest a table, with numbers to nine figures."""
    digested = hashlib.sha256()
    for name in table.column_names:
        values = table[name].to_pylist()
        texts = [f"{value:.9g}" if isinstance(value, float) else repr(value) for value in values]
        digested.update("\n".join([name, *texts]).encode())
    return digested.hexdigest()[:16]


@pytest.mark.parametrize("name", WORLDS)
def test_named_world_is_bit_identical(name):
    simulation = simulate(WORLDS[name], 250, seed=4)
    assert (digest(simulation.cohort), digest(simulation.truth)) == DIGESTS[name]


def test_number_determines_the_drawn_world(worlds):
    again = draw_world.__wrapped__(3)
    assert again == worlds[3]
    assert hash(again) == hash(worlds[3])
    assert len({world.effects for world in worlds}) == len(worlds)
    assert find_world("world-3") is worlds[3]


def test_world_and_seed_determine_the_cohort(worlds):
    first, second = (
        simulate(world, 60, seed=1) for world in (worlds[3], draw_world.__wrapped__(3))
    )
    assert first.cohort.equals(second.cohort)
    assert not first.cohort.equals(simulate(worlds[4], 60, seed=1).cohort)


def test_world_with_extreme_patients_can_be_drawn():
    assert find_world("world-205").strength > 0


@pytest.mark.parametrize("name", ["world-", "world-x", "world--1", "world-1.5", "xworld-1"])
def test_world_without_a_number_is_refused(name):
    with pytest.raises(InputError, match="world-0"):
        find_world(name)


def test_drawn_world_has_a_published_sign_clearly_wrong(worlds):
    for world in worlds:
        sizes = zip(world.effects, PUBLISHED, strict=False)
        assert any(
            drawn.later * published.later < 0 and abs(drawn.later) >= abs(published.later)
            for drawn, published in sizes
        )


def test_drawn_sizes_spread_wider_than_the_evidence():
    """Around the literature's weight in that world; reversed signs count by size."""
    drawn = np.array(
        [
            [effect.later for effect in draw_published(np.random.default_rng(seed))]
            for seed in range(600)
        ]
    )
    published = np.array([effect.later for effect in PUBLISHED])
    spread = drawn.std(axis=0) / [get_evidence_spread(effect) for effect in PUBLISHED]
    assert (spread > 1.25).all()
    assert (spread < 3).all()
    assert drawn.mean(axis=0) == pytest.approx(published, abs=0.15)


def test_literature_holds_in_some_worlds_only(worlds):
    patients = draw_plain_patients(WORLDS["default"])
    published = combine_effects(PUBLISHED, patients, "acute")
    agreement = [
        np.corrcoef(published, combine_effects(world.effects, patients, "acute"))[0, 1]
        for world in worlds
    ]
    assert min(agreement) < 0.3
    assert max(agreement) > 0.6


def test_unpublished_effects_have_their_share(worlds):
    everyone = make_patients(make_sites(worlds[0]), 20_000, np.random.default_rng(8))
    chosen = (everyone["condition"] == 0) & (everyone["route"] == 0)
    patients = {name: values[chosen] for name, values in everyone.items()}
    for world in worlds:
        assert len(world.effects) - KNOWN in (5, 6, 7)
        unknown = combine_effects(world.effects[KNOWN:], patients, "acute").var()
        share = unknown / combine_effects(world.effects, patients, "acute").var()
        assert 0.08 < share < 0.30


def test_every_unit_of_a_decoy_exists():
    assert set(DECOYS) <= set(UNITS)


def test_target_aucs_spread_over_their_range(worlds):
    patients = draw_plain_patients(WORLDS["default"])
    aucs = [
        compute_oracle_auc(world.strength * combine_effects(world.effects, patients, "acute"))
        for world in worlds
    ]
    assert min(aucs) > 0.61
    assert max(aucs) < 0.75
    assert np.ptp(aucs) > 0.05


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_oracle_has_the_drawn_auc(worlds, seed):
    """On other patients than those used to set the strength, by their outcomes."""
    world = worlds[seed]
    plain = replace(world, site_spread=0.0, slope_spread=0.0, drift=0.0)
    patients, generator = draw_complete(plain, 60_000)
    acute = next(iter(make_followups(plain, make_sites(plain), patients, generator)))
    rows = (patients["condition"] == 0) & (patients["route"] == 0)
    met = load_dictionary().instruments["phq9"].has_responded(patients["phq9"], acute.score)[rows]
    truth = compute_truth(acute, patients["phq9"], patients["phq9"])[rows]
    target = compute_oracle_auc(
        world.strength * combine_effects(world.effects, draw_plain_patients(world), "acute")
    )
    auc = metrics.roc_auc_score(met, truth)
    assert 0.60 < auc < 0.76
    assert auc == pytest.approx(target, abs=0.015)


def draw_complete(world, count):
    generator = np.random.default_rng(11)
    return make_patients(make_sites(world), count, generator), generator


def test_new_sites_share_the_distribution_of_old_ones():
    world = find_world("world-3")
    sites = draw_new_sites(world, 2_000, seed=1)
    assert sites.effects.std() == pytest.approx(world.site_spread, rel=0.07)
    assert sites.effects.mean() == pytest.approx(0, abs=4 * world.site_spread / np.sqrt(2_000))
    assert sites.slopes.std() == pytest.approx(world.slope_spread, rel=0.07)
    assert sites.weights.sum() == pytest.approx(1)
    for name, share in MISSING.items():
        assert sites.skipped[name].mean() == pytest.approx(BY_FORM * share, abs=0.04), name


def test_seed_determines_new_sites():
    world = WORLDS["default"]
    first, second, third = (draw_new_sites(world, 5, seed) for seed in (1, 1, 2))
    assert first.effects.tolist() == second.effects.tolist() != third.effects.tolist()
    assert not set(first.names) & set(make_sites(world).names)
    assert len(set(first.names)) == 5


def test_patients_can_be_treated_at_new_sites():
    world = WORLDS["default"]
    sites = draw_new_sites(world, 4, seed=9)
    simulation = simulate(world, 3_000, seed=9, sites=sites)
    frame = simulation.cohort.to_pandas()
    assert set(frame["site"]) == {"new-01", "new-02", "new-03", "new-04"}
    truth = simulation.truth.to_pandas()["probability"]
    by_site = truth.groupby(frame["site"]).mean()
    assert np.corrcoef(by_site.to_numpy(), sites.effects)[0, 1] > 0.9
    assert frame["phq9_acute"].notna().any()
