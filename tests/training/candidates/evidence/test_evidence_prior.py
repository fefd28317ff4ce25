"""The evidence candidate: its prior without patients, and how patients override it."""

from dataclasses import replace

import numpy as np
import pytest
from designs import make_plain_design

from features.dictionary.outcome import parse_outcome
from features.model.equation import ALL_VERSIONS
from features.model.matrix import Feature, build_matrix, list_features
from features.model.prediction import compute_probability
from features.records.assessment import read_assessments
from training.candidates.evidence.curves import list_curves
from training.candidates.evidence.literature import (
    BaseRatePrior,
    expect_base_rate,
    read_literature,
)
from training.candidates.evidence.published import EFFECTS, SITE_SPREAD
from training.candidates.evidence.update import (
    _make_prior,
    _PriorSetting,
    compute_shrinkage,
    update_literature,
)
from training.candidates.registry import make_candidates
from training.study.study import Study

CANDIDATES = make_candidates()

FIELDS = ["age", "bmi", "phq9", "failed_ect", "ace_score", "expectancy", "systolic", "route"]
CANDIDATE = CANDIDATES["evidence_prior"]

STUDY = Study(name="by-hand", question="?", outcome="phq9.acute.response", seed=1)


def make_people(size, seed, sites=0, missing=0.15, **fixed):
    """Draw patients as in published cohorts, with some values missing."""
    generator = np.random.default_rng(seed)
    draws = {
        "age": lambda: int(np.clip(generator.normal(45, 14.5), 18, 85)),
        "bmi": lambda: round(float(np.clip(generator.normal(28.3, 6.3), 16, 55)), 1),
        "failed_ect": lambda: bool(generator.random() < 0.1),
        "ace_score": lambda: int(np.clip(generator.normal(2.4, 2.3), 0, 10)),
        "expectancy": lambda: round(float(np.clip(generator.normal(7, 2), 0, 10)), 1),
        "systolic": lambda: int(np.clip(generator.normal(126, 14), 90, 180)),
    }
    rows = []
    for number in range(size):
        row = {"patient_id": f"p{number}", "condition": "depression", "route": "iv"}
        row["phq9"] = int(np.clip(generator.normal(17, 5), 5, 27))
        row |= {name: draw() for name, draw in draws.items() if generator.random() > missing}
        if sites:
            row["site"] = f"site-{number % sites}"
        rows.append(row | fixed)
    return read_assessments(rows)


def make_courses(size, log_odds, seed=1, sites=0, **changes):
    """Draw a design whose true log-odds are a function of its columns."""
    columns = make_people(size, seed, sites, **changes)
    chance = compute_probability(log_odds(columns))
    outcome = (np.random.default_rng(seed + 1).random(size) < chance).astype(float)
    return make_plain_design(columns, FIELDS, outcome, STUDY)


def say_as_published(columns, factor=1.0):
    """Compute log-odds by the evidence table, with missing values at the published means."""
    features = [f for f in list_features(FIELDS) if f.name in EFFECTS]
    matrix = build_matrix(columns, features)
    effects = [EFFECTS[feature.name] for feature in features]
    means = np.array([effect.mean for effect in effects])
    sizes = np.array([effect.size("acute") for effect in effects])
    return factor * np.nan_to_num(matrix - means) @ sizes


def say_nothing(columns):
    return np.zeros(columns.size)


def find_log_odds(design, columns):
    return CANDIDATE.fit(design, 1).equation.compute_log_odds(columns)[:, 0]


def test_it_answers_with_no_patient_at_all():
    columns = make_people(200, seed=5)
    fit = CANDIDATE.fit(make_courses(0, say_nothing), 1)
    log_odds = fit.equation.compute_log_odds(columns)[:, 0]
    assert compute_probability(np.array([np.median(log_odds)]))[0] == pytest.approx(0.45, abs=0.03)
    published = say_as_published(columns)
    assert np.corrcoef(log_odds, published)[0, 1] == pytest.approx(1, abs=1e-6)
    assert log_odds.std() == pytest.approx(fit.settings["discount"] * published.std(), rel=1e-3)


def test_with_no_patient_the_interval_says_so():
    columns = make_people(50, seed=5)
    drawn = CANDIDATE.fit(make_courses(0, say_nothing), 1).posterior.draw(
        200, np.random.default_rng(1)
    )
    low, high = np.quantile(
        compute_probability(drawn.compute_log_odds(columns, ALL_VERSIONS)), [0.1, 0.9], axis=1
    )
    assert (high - low).min() > 0.35


@pytest.mark.parametrize(("factor", "low", "high"), [(0.0, 0.0, 0.25), (1.0, 0.6, 1.4)])
def test_the_discount_learns_whether_the_literature_holds(factor, low, high):
    design = make_courses(4000, lambda columns: say_as_published(columns, factor), missing=0.0)
    assert low <= CANDIDATE.fit(design, 1).settings["discount"] <= high


@pytest.mark.parametrize("sites", [0, 3])
def test_contradicted_literature_is_dropped_not_reversed(sites):
    def contradict(columns):
        return say_as_published(columns, -1.0)

    design = make_courses(2000, contradict, sites=sites, missing=0.0)
    fit = CANDIDATE.fit(design, 1)
    assert fit.settings["discount"] < 0.05
    new = make_people(500, seed=9)
    log_odds = fit.equation.compute_log_odds(new)[:, 0]
    assert np.corrcoef(log_odds, say_as_published(new, -1.0))[0, 1] > 0.85


def test_noise_shrinks_estimates_to_the_base_rate():
    spreads = [
        find_log_odds(make_courses(size, say_nothing), make_people(300, seed=9)).std()
        for size in (60, 4000)
    ]
    assert spreads[1] < 0.12 < spreads[0]


def test_sites_are_shrunken_and_new_ones_less_certain():
    def differ(columns):
        return np.where(columns.get_texts("site") == "site-0", 1.5, -0.5)

    design = make_courses(600, differ, sites=4)
    fit = CANDIDATE.fit(design, 1)
    people = [make_people(1, seed=3, missing=0, site=name) for name in ("site-0", "elsewhere")]
    drawn = fit.posterior.draw(400, np.random.default_rng(1))
    known, unseen = (drawn.compute_log_odds(person, ALL_VERSIONS)[0] for person in people)
    assert known.mean() > unseen.mean() + 0.5
    assert unseen.std() > 1.5 * known.std()


def test_without_sites_their_spread_is_0():
    assert CANDIDATE.fit(make_courses(60, say_nothing), 1).settings["site_spread"] == 0


def test_the_interval_narrows_with_patients():
    new = make_people(100, seed=9)
    widths = []
    for size in (60, 600, 4000):
        fit = CANDIDATE.fit(make_courses(size, say_as_published), 1)
        drawn = fit.posterior.draw(200, np.random.default_rng(1))
        widths.append(drawn.compute_log_odds(new, ALL_VERSIONS).std(axis=1).mean())
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_unpublished_bend_in_age_is_found():
    def bend(columns):
        return 0.9 * (((columns.get_numbers("age") - 45) / 14.5) ** 2 - 1)

    design = make_courses(2500, bend, missing=0.0)
    new = make_people(800, seed=9, missing=0.0)
    assert np.corrcoef(find_log_odds(design, new), bend(new))[0, 1] > 0.85


def test_what_is_missing_moves_nothing():
    equation = CANDIDATE.fit(make_courses(500, say_as_published), 1).equation
    columns = make_people(200, seed=9, missing=0.5)
    explained = equation.explain(columns)
    for index, field in enumerate(explained.fields):
        absent = columns.find_missing(field)
        assert explained.contributions[absent, index] == pytest.approx(0, abs=1e-9)


def test_contributions_sum_to_the_log_odds():
    design = make_courses(400, say_as_published, sites=3)
    new = make_people(200, seed=9, sites=5, missing=0.4)
    for candidate in CANDIDATES.values():
        equation = candidate.fit(design, 1).equation
        explained = equation.explain(new)
        total = explained.intercept + explained.contributions.sum(axis=1)
        assert total == pytest.approx(equation.compute_log_odds(new)[:, 0], abs=1e-6)


def test_few_courses_use_published_means_and_spreads():
    literature = read_literature(make_courses(5, say_nothing))
    index = [feature.name for feature in list_features(FIELDS)].index("age")
    assert (literature.centre[index], literature.scale[index]) == (45, 14.5)
    unknown = [feature.name for feature in list_features(FIELDS)].index("systolic")
    assert literature.spread[unknown] == 0


def test_priors_are_per_unit_of_their_feature():
    """Severity and unknown fields are stated per standard deviation, a trend per year."""
    trend = Feature(name="year", field="assessed_on", transform="years", parameter=21_000)
    early = Feature(name="phq9_week2", field="phq9_week2", transform="value")
    target = parse_outcome("madrs.acute.response")
    design = replace(make_courses(400, say_nothing), target=target)
    features = (*design.features, *list_features(["madrs"]), trend, early)
    generator = np.random.default_rng(2)
    columns = design.columns.replace(
        {
            "madrs": generator.integers(20, 50, 400).astype(float),
            "phq9_week2": generator.integers(0, 28, 400).astype(float),
            "assessed_on": 20_000.0 + np.arange(400),
        }
    )
    matrix = build_matrix(columns, features)
    literature = read_literature(replace(design, columns=columns, features=features, matrix=matrix))
    prior = {
        feature.name: (size, spread, scale)
        for feature, size, spread, scale in zip(
            features, literature.size, literature.spread, literature.scale, strict=True
        )
    }
    size, spread, scale = prior["madrs"]
    assert (size * scale, spread * scale) == pytest.approx((-0.10, 0.12))
    size, spread, scale = prior["systolic"]
    assert (size, spread * scale) == pytest.approx((0, 0.06))
    assert prior["year"][:2] == (0, 0.10)
    size, spread, scale = prior["phq9_week2"]
    assert (size, spread * scale) == pytest.approx((0, 0.6))


def test_the_expected_base_rate_follows_the_route():
    veins = make_courses(50, say_nothing)
    skin = make_courses(50, say_nothing, route="sc")
    log_odds = np.array([expect_base_rate(design).log_odds for design in (veins, skin)])
    shares = compute_probability(log_odds)
    assert shares == pytest.approx([0.45, 0.30])


def measure_pain(design):
    """Replace the outcome's scale by one without published rates."""
    facts = {"name": "BPI", "measures": "pain", "condition": None}
    pain = design.target.instrument.model_copy(update=facts)
    return replace(design, target=replace(design.target, instrument=pain))


def test_ptsd_scales_have_published_rates_by_route():
    target = parse_outcome("pcl5.acute.response")
    design = replace(make_courses(5, say_nothing), target=target)
    assert read_literature(design).size[-6:] == pytest.approx(0)
    assert expect_base_rate(design.select(np.arange(0))).is_published


def test_spread_of_the_base_rate_is_shared_with_its_site():
    """The prior of a clinic's base rate is as wide with sites as without."""
    setting, base = _PriorSetting(True, 1.0, SITE_SPREAD, 0.0), BaseRatePrior(-0.2, 0.8)
    for sites in (0, 3):
        prior = _make_prior(make_courses(30, say_nothing, sites=sites), setting, base)
        site = prior.deviation[1] if sites else 0.0
        assert np.hypot(prior.deviation[0], site) == pytest.approx(0.8)


def test_scale_without_published_rate_has_wide_prior():
    """Without a published rate the prior is centred on even odds and wide, not on depression's."""
    prior = expect_base_rate(measure_pain(make_courses(5, say_nothing)))
    assert (prior.log_odds, prior.is_published) == (0, False)
    low, high = compute_probability(np.array([-1.96, 1.96]) * prior.spread)
    assert low < 0.06
    assert high > 0.94


def test_a_scale_of_something_new_learns_from_outcomes():
    design = measure_pain(make_courses(200, lambda columns: np.full(columns.size, 1.0)))
    equation = update_literature(design, 1).equation
    shares = compute_probability(equation.compute_log_odds(make_people(200, 5))[:, 0])
    assert shares.mean() == pytest.approx(compute_probability(np.array(1.0)), abs=0.08)


def test_curves_have_unit_spread_and_0_if_missing():
    design = make_courses(1500, say_nothing)
    literature, curves = read_literature(design), list_curves(design)
    table = curves.make_table(design, literature)
    assert table.shape == (1500, len(curves.pairs) + len(curves.steps))
    assert 0.5 < np.median(table.std(axis=0)) < 1.2
    first, second = curves.pairs[0]
    absent = np.isnan(design.matrix[:, first]) | np.isnan(design.matrix[:, second])
    assert (table[absent, 0] == 0).all()


def test_steps_never_show_one_patients_exact_value():
    design = make_courses(300, say_nothing)
    ages = [step.parameter for step in list_curves(design).steps if step.field == "age"]
    assert ages
    assert all(age % 5 == 0 for age in ages)


def test_the_shrinkage_is_that_of_the_mean_probability():
    generator = np.random.default_rng(1)
    drawn = generator.normal(1.2, 0.9, size=(1, 200_000))
    mean = compute_probability(drawn).mean()
    factor = compute_shrinkage(drawn)
    assert compute_probability(np.array([factor * 1.2]))[0] == pytest.approx(mean, abs=0.005)


def test_the_same_courses_give_the_same_model():
    design = make_courses(200, say_as_published)
    first, again = (update_literature(design, 7).equation.terms for _ in range(2))
    assert all(np.array_equal(getattr(first, n), getattr(again, n)) for n in vars(first))


def test_scores_teach_more_than_yes_or_no():
    def follow(columns):
        names, slopes = ("systolic", "expectancy", "ace_score"), (0.05, -0.3, 0.25)
        values = zip(names, slopes, (126, 7, 2.4), strict=True)
        return sum(slope * (columns.get_numbers(name) - mean) for name, slope, mean in values)

    new, gains = make_people(2000, seed=99, missing=0), []
    true = compute_probability(follow(new))
    for seed in range(8):
        design = make_courses(250, say_nothing, seed=seed, missing=0)
        latent = follow(design.columns) + np.random.default_rng(seed).logistic(size=design.size)
        graded = replace(design, outcome=(latent > 0).astype(float), improvement=latent)
        plain = replace(graded, improvement=graded.outcome)
        predictions = [find_log_odds(courses, new) for courses in (plain, graded)]
        losses = [np.mean(np.logaddexp(0, log_odds) - true * log_odds) for log_odds in predictions]
        gains.append(losses[0] - losses[1])
    assert np.mean(gains) > np.std(gains) / np.sqrt(len(gains))


def test_it_says_how_many_grades_there_were():
    design = make_courses(200, say_nothing)
    graded = replace(design, improvement=design.outcome + np.linspace(0, 0.4, 200))
    assert CANDIDATE.fit(design, 1).settings["grades"] == 2
    assert CANDIDATE.fit(graded, 1).settings["grades"] == 10
