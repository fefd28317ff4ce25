"""The simulator: calibrated to published figures, marked SIMULATED, with a correct truth."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest
from sklearn import metrics

from experiments.simulator import WORLDS, find_world, simulate, write_simulation
from experiments.simulator.effects import ROUTES
from experiments.simulator.items import make_items
from experiments.simulator.outcomes import compute_truth, make_followups
from experiments.simulator.patients import make_patients
from experiments.simulator.published import CONDITIONS, MISSING, make_correlations
from experiments.simulator.world import VETERANS_SITE, World, make_sites
from features.base.errors import InputError
from features.dictionary.dictionary import load_dictionary
from features.records.cohort import digest_cohort, read_cohort

BUILT_IN = load_dictionary()

COUNT = 60_000
# One clinic and one time, so that only patients vary.
PLAIN = World("plain", site_spread=0.0, slope_spread=0.0, drift=0.0)


def draw(world, seed=3):
    """Draw complete patients with all their follow-ups, in masks by condition."""
    sites = make_sites(world)
    generator = np.random.default_rng(seed)
    patients = make_patients(sites, COUNT, generator)
    followups = {
        followup.field: followup for followup in make_followups(world, sites, patients, generator)
    }
    return patients, followups


@pytest.fixture(scope="module")
def plain():
    return draw(PLAIN)


@pytest.fixture(scope="module")
def default():
    return draw(WORLDS["default"])


def respond(patients, followup):
    baseline = patients[followup.instrument]
    return BUILT_IN.instruments[followup.instrument].has_responded(baseline, followup.score)


def treat(patients, condition, route=None):
    chosen = patients["condition"] == [name for name, _ in CONDITIONS].index(condition)
    return chosen if route is None else chosen & (patients["route"] == ROUTES.index(route))


def compute_acute_truth(patients, followup):
    baseline = patients[followup.instrument]
    return compute_truth(followup, baseline, baseline)


def test_correlations_are_a_possible_matrix():
    assert np.linalg.eigvalsh(make_correlations()).min() > 0.01


@pytest.mark.parametrize(
    ("name", "mean", "spread"), [("age", 45, 14.5), ("expectancy", 7, 2), ("systolic", 126, 14)]
)
def test_measurements_have_their_published_mean(plain, name, mean, spread):
    values = plain[0][name]
    assert values.mean() == pytest.approx(mean, abs=0.15 * spread)
    assert values.std() == pytest.approx(spread, rel=0.15)


def test_baseline_scores_have_their_published_means(plain):
    patients = plain[0]
    depressed = treat(patients, "depression")
    assert patients["phq9"][depressed].mean() == pytest.approx(17, abs=0.4)
    assert patients["madrs"][depressed].mean() == pytest.approx(32, abs=0.4)
    assert patients["pcl5"][treat(patients, "ptsd")].mean() == pytest.approx(54, abs=1)


def test_counts_and_shares_are_those_published(plain):
    patients = plain[0]
    failed = patients["failed_antidepressants"]
    bands = [((failed >= low) & (failed <= high)).mean() for low, high in ((1, 2), (3, 4), (5, 6))]
    assert bands == pytest.approx([0.35, 0.32, 0.18], abs=0.02)
    assert (patients["benzodiazepine_mg"] > 0).mean() == pytest.approx(0.40, abs=0.01)
    assert patients["suicide_attempt"].mean() == pytest.approx(0.37, abs=0.01)
    weight = patients["bmi"]
    bands = [((weight >= low) & (weight < high)).mean() for low, high in ((0, 25), (25, 30))]
    assert bands == pytest.approx([0.31, 0.33], abs=0.02)


def test_scores_go_together_as_published(plain):
    patients = plain[0]
    depressed = treat(patients, "depression")
    correlations = np.corrcoef([patients[name][depressed] for name in ("phq9", "gad7", "pcl5")])
    assert correlations[0, 1] == pytest.approx(0.65, abs=0.03)
    assert correlations[0, 2] == pytest.approx(0.55, abs=0.05)


def test_items_sum_to_their_total_and_hang_together():
    generator = np.random.default_rng(1)
    total = np.round(np.clip(generator.normal(17, 5, 20_000), 0, 27))
    items = make_items(BUILT_IN.instruments["phq9"], total, generator)
    assert (items.sum(axis=1) == total).all()
    assert items.min() == 0
    assert items.max() == 3
    alpha = 9 / 8 * (1 - items.var(axis=0).sum() / total.var())
    assert alpha == pytest.approx(0.87, abs=0.05)


@pytest.mark.parametrize(
    ("condition", "route", "followup", "share"),
    [
        ("depression", "iv", "phq9_acute", 0.45),
        ("depression", "intranasal", "phq9_acute", 0.48),
        ("depression", "intranasal", "madrs_acute", 0.57),
        ("depression", "intranasal", "madrs_day1", 0.18),
        ("depression", "iv", "madrs_day1", 0.45),
        ("depression", "sublingual", "phq9_acute", 0.50),
        ("depression", "iv", "phq9_week12", 0.20),
        ("anxiety", "sublingual", "gad7_acute", 0.55),
        ("ptsd", "iv", "pcl5_acute", 0.55),
    ],
)
def test_published_share_responds(plain, condition, route, followup, share):
    patients, followups = plain
    rows = treat(patients, condition, route)
    assert respond(patients, followups[followup])[rows].mean() == pytest.approx(share, abs=0.035)


def test_oracle_auc_is_as_documented(plain):
    """With strength 1.3, intravenous, depression: AUC 0.70, between 0.66 and 0.735."""
    patients, followups = plain
    rows = treat(patients, "depression", "iv")
    followup = followups["phq9_acute"]
    auc = metrics.roc_auc_score(
        respond(patients, followup)[rows], compute_acute_truth(patients, followup)[rows]
    )
    assert auc == pytest.approx(0.70, abs=0.015)


def test_veterans_site_responds_as_rarely_as_published(default):
    patients, followups = default
    rows = treat(patients, "depression") & (patients["site"] == VETERANS_SITE)
    followup = followups["phq9_acute"]
    assert respond(patients, followup)[rows].mean() == pytest.approx(0.26, abs=0.04)
    assert (followup.score[rows] < 5).mean() == pytest.approx(0.14, abs=0.03)


def test_sites_differ_as_published_rates_do():
    effects = make_sites(WORLDS["default"]).effects
    assert 0.25 < effects.std() < 0.75


def test_truth_is_calibrated_in_every_tenth(default):
    patients, followups = default
    followup = followups["phq9_acute"]
    truth, met = compute_acute_truth(patients, followup), respond(patients, followup)
    for group in np.array_split(np.argsort(truth), 10):
        assert met[group].mean() == pytest.approx(truth[group].mean(), abs=0.02)


def test_even_totals_are_not_easier_to_halve(plain):
    patients, followups = plain
    even = patients["phq9"] % 2 == 0
    met = respond(patients, followups["phq9_acute"])
    middle = (patients["phq9"] >= 14) & (patients["phq9"] <= 19)
    assert met[middle & even].mean() == pytest.approx(met[middle & ~even].mean(), abs=0.015)


def test_nothing_predicts_response_in_the_null_world():
    patients, followups = draw(WORLDS["null"])
    followup = followups["phq9_acute"]
    assert np.ptp(compute_acute_truth(patients, followup)) < 1e-9
    met = respond(patients, followup)
    for name in ("phq9", "age", "bmi", "route", "site", "condition"):
        assert metrics.roc_auc_score(met, patients[name]) == pytest.approx(0.5, abs=0.02)


def test_as_much_is_missing_as_in_real_clinics():
    frame = simulate(WORLDS["default"], 20_000, seed=1).cohort.to_pandas()
    for name in ("bmi", "madrs", "failed_antidepressants", "ace_score", "suicide_attempt"):
        assert frame[name].isna().mean() == pytest.approx(MISSING[name], abs=0.06), name
    depressed = frame[frame["condition"] == "depression"]
    recorded = depressed["phq9"].notna() | depressed["phq9_1"].notna()
    assert depressed["phq9_acute"].isna().mean() == pytest.approx(0.45, abs=0.05)
    assert recorded.mean() > 0.95


def test_missing_follows_site_forms_and_severity():
    frame = simulate(WORLDS["default"], 20_000, seed=1).cohort.to_pandas()
    by_site = frame.groupby("site")["madrs"].apply(lambda column: column.isna().mean())
    assert (by_site == 1).any()
    assert (by_site < 0.7).any()
    recorded = frame[frame["site"].isin(by_site[by_site < 1].index) & frame["phq9"].notna()]
    missed = recorded["madrs"].isna()
    assert recorded.loc[missed, "phq9"].mean() > recorded.loc[~missed, "phq9"].mean() + 0.3


def test_stress_world_responders_report_more_often():
    """45% of all patients respond, 58% of those with follow-up."""
    world = WORLDS["stress"]
    simulation = simulate(world, 40_000, seed=2)
    frame = simulation.cohort.to_pandas()
    truth = simulation.truth.to_pandas()["probability"]
    depressed = frame["condition"] == "depression"
    reported = depressed & frame["phq9_acute"].notna() & frame["phq9"].notna()
    assert frame.loc[depressed, "phq9_acute"].isna().mean() == pytest.approx(0.70, abs=0.05)
    met = 2 * frame.loc[reported, "phq9_acute"] <= frame.loc[reported, "phq9"]
    assert met.mean() - truth[depressed].mean() > 0.08


def test_seed_determines_the_cohort(tmp_path):
    digests = []
    for number, seed in enumerate((5, 5, 6)):
        path = tmp_path / f"{number}.parquet"
        write_simulation(simulate(WORLDS["default"], 300, seed).cohort, path)
        digests.append(digest_cohort(read_cohort(path)))
    assert digests[0] == digests[1] != digests[2]


def test_sites_belong_to_the_world():
    first, second = make_sites(WORLDS["default"]), make_sites(WORLDS["default"])
    assert first.effects.tolist() == second.effects.tolist()


def test_files_say_simulated_and_can_be_joined(fresh_commands, tmp_path):
    out, truth = tmp_path / "c.parquet", tmp_path / "t.csv"
    arguments = ("--patients", 80, "--seed", 1, "--draws", 0, "--out", out, "--truth", truth)
    done = fresh_commands.run("experiments", "simulate", *arguments, "--json")
    assert json.loads(done.stdout)["data"] == "SIMULATED"
    assert parquet.read_schema(out).metadata[b"data"] == b"SIMULATED"
    cohort, true = pd.read_parquet(out), pd.read_csv(truth)
    assert cohort["simulated"].all()
    assert true["simulated"].all()
    assert "probability" not in cohort
    assert true["patient_id"].tolist() == cohort["patient_id"].tolist()
    assert true["probability"].between(0, 1).all()
    expected = {
        "depression": "phq9.acute.response",
        "anxiety": "gad7.acute.response",
        "ptsd": "pcl5.acute.response",
    }
    assert true["outcome"].tolist() == [expected[name] for name in cohort["condition"]]


def test_cohort_and_truth_are_two_files(fresh_commands, tmp_path):
    size = ("--patients", 5, "--seed", 1, "--draws", 0)
    both = ("--out", tmp_path / "c.csv", "--truth", tmp_path / "sub" / ".." / "c.csv")
    done = fresh_commands.run("experiments", "simulate", *size, *both, code=2)
    assert "--out (same_file): must not be the same file as --truth" in done.stderr
    assert not list(tmp_path.glob("*.csv"))


def test_intake_cohort_has_no_follow_up():
    table = simulate(WORLDS["default"], 50, seed=1, intake=True).cohort
    assert not [name for name in table.column_names if name.endswith(("_acute", "_day1"))]


@pytest.mark.parametrize("count", [1, 3])
def test_very_few_patients_can_be_simulated(count):
    assert simulate(WORLDS["default"], count, seed=1).cohort.num_rows == count


def test_unknown_world_is_refused():
    with pytest.raises(InputError, match="default, weak, strong, stress, null"):
        find_world("narnia")


def test_unknown_file_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.parquet, \.csv"):
        write_simulation(simulate(WORLDS["default"], 5, seed=1).cohort, tmp_path / "c.xlsx")
