"""Models on disk and in memory: exact predictions and explanations, every byte checked."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import xgboost

from features.base.errors import ArtifactError
from features.dictionary.outcome import parse_outcome
from features.model.card import (
    IntervalFacts,
    Measure,
    ModelCard,
    OutcomeFacts,
    Population,
    StudiedRange,
)
from features.model.equation import ALL_VERSIONS, Equation
from features.model.matrix import list_features
from features.model.prediction import compute_probability, summarise_versions
from features.model.response_model import ResponseModel
from features.model.terms import Terms
from features.model.trees import predict_contributions
from features.records.assessment import read_assessments

FEATURES = list_features(["phq9", "bipolar"])


def make_terms(**changes):
    """Make the terms of a model and one bootstrap refit."""
    parts = {
        "intercept": [-1.0, -0.8],
        "present": [[0.05, 0.4], [0.06, 0.3]],
        "missing": [[0.85, 0.1], [1.0, 0.0]],
        "sites": [[0.5, 0.0], [0.7, -0.4]],
        "trees": [0.0, 0.0],
        "centre": [17.0, 0.25],
        "scale": [5.0, 1.0],
        "pairs": [[0, 0], [0, 1]],
        "products": [[0.3, -0.2], [0.1, 0.0]],
        "calibration": [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]],
    }
    return Terms(**{name: np.array(value) for name, value in (parts | changes).items()})


def make_card(features=FEATURES):
    outcome = parse_outcome("phq9.acute.response")
    return ModelCard(
        name=outcome.id,
        outcome=OutcomeFacts(**outcome.describe()),
        candidate="elastic_net",
        data="real",
        study="test",
        question="?",
        created="2026-01-01T00:00:00+00:00",
        seed=1,
        population=Population(courses=100, events=40, patients=100, sites=1, without_outcome=5),
        features=features,
        sites=("north",),
        ranges=(StudiedRange(field="condition", categories=("depression",)),),
        interval=IntervalFacts(level=0.8, method="test", redevelopments=1),
        performance={"elastic_net": {"auc": Measure(value=0.6)}},
        validation="none",
        verdict="none",
        data_digest="0",
        versions={},
    )


def make_model(terms=None, boosters=()):
    equation = Equation(FEATURES, ("north",), terms or make_terms(), boosters)
    return ResponseModel(make_card(), equation)


@pytest.fixture
def people(make_assessment):
    return read_assessments(
        [
            make_assessment(phq9=20, bipolar=True, site="north"),
            make_assessment(phq9=20, bipolar=None, site="south"),
            make_assessment(phq9=None, gad7=10, bipolar=False),
        ]
    )


def grow_trees(rounds):
    generator = np.random.default_rng(rounds)
    matrix = generator.normal(size=(200, 2)).astype(np.float32)
    matrix[generator.random((200, 2)) < 0.2] = np.nan
    label = generator.integers(0, 2, 200)
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 2}
    return xgboost.train(parameters, xgboost.DMatrix(matrix, label), rounds)


def test_log_odds_are_those_computed_by_hand(people):
    log_odds = make_model().equation.compute_log_odds(people)[:, 0]
    square = 0.3 * (((20 - 17) / 5) ** 2 - 1)
    product = -0.2 * (20 - 17) / 5 * (1 - 0.25)
    by_hand = [
        -1.0 + 20 * 0.05 + 0.4 + 0.5 + square + product,
        -1.0 + 20 * 0.05 + 0.1 + square,
        -1.0 + 0.85 + 0.0,
    ]
    assert log_odds == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("trees", [False, True])
def test_factors_and_intercept_sum_to_the_log_odds(people, trees):
    boosters = (grow_trees(7), grow_trees(5)) if trees else ()
    weights = np.array([0.6, 0.5]) if trees else np.zeros(2)
    equation = make_model(make_terms(trees=weights), boosters).equation
    explained = equation.explain(people)
    assert explained.fields == ("phq9", "bipolar", "site")
    total = explained.intercept + explained.contributions.sum(axis=1)
    assert total == pytest.approx(equation.compute_log_odds(people)[:, 0], abs=1e-6)


def test_fields_add_own_terms_and_half_products(people):
    explained = make_model().equation.explain(people)
    unit = (20 - 17) / 5
    half = -0.2 * unit * (1 - 0.25) / 2
    assert explained.intercept == pytest.approx([-1.0 + 17 * 0.05 + 0.25 * 0.4] * 3, abs=1e-12)
    by_hand = [
        [3 * 0.05 + 0.3 * (unit**2 - 1) + half, 0.75 * 0.4 + half, 0.5],
        [3 * 0.05 + 0.3 * (unit**2 - 1), 0.1 - 0.25 * 0.4, 0.0],
        [0.85 - 17 * 0.05, -0.25 * 0.4, 0.0],
    ]
    assert explained.contributions == pytest.approx(np.array(by_hand), abs=1e-12)


@pytest.mark.parametrize("rows", [1, 32, 33, 700])
def test_estimates_do_not_depend_on_batch_size(people, rows):
    """Few and many rows take different fast paths; each row lacks other fields."""
    bent = make_terms(calibration=[[-0.2, 0.9, 0.4], [0.1, 1.1, 0.7]])
    model = make_model(bent)
    alone, explained = model.predict_and_explain(people)
    places = np.arange(rows) % 3
    many, split = model.predict_and_explain(people.select(places))
    for name in ("log_odds", "probability", "low", "high", "effective_sample_size"):
        expected = getattr(alone, name)[places]
        assert getattr(many, name) == pytest.approx(expected, rel=1e-12)
    assert split.contributions == pytest.approx(explained.contributions[places], abs=1e-12)
    assert split.intercept == pytest.approx(explained.intercept[places], abs=1e-12)
    brief = model.predict_briefly(people.select(places), min_sample_size=10.0)
    assert brief.effective_sample_size == pytest.approx(many.effective_sample_size, rel=1e-12)
    assert np.isnan(brief.low).all()


@pytest.fixture
def spread_out():
    """A model with many different bootstrap refits, and many different patients."""
    chance = np.random.default_rng(3)
    shapes = {"present": (40, 2), "missing": (40, 2), "sites": (40, 2), "products": (40, 2)}
    drawn = {name: chance.normal(0, 0.05, shape) for name, shape in shapes.items()}
    drawn |= {"trees": np.zeros(40), "intercept": chance.normal(0, 0.6, 40)}
    model = make_model(make_terms(**drawn, calibration=[[0.1, 0.9, 0.9]] * 40))
    scores = chance.integers(0, 28, 600).tolist()
    rows = [
        {"patient_id": "a", "condition": "depression", "phq9": score, "bipolar": index % 3 == 0}
        for index, score in enumerate(scores)
    ]
    return model, read_assessments(rows)


@pytest.mark.parametrize("nudge", [-1e-9, 1e-9, 1e-5, 0.1])
def test_brief_sample_size_is_right_about_the_limit(spread_out, nudge):
    """Also so near to the limit that single precision does not decide."""
    model, columns = spread_out
    exact = model.predict(columns)
    for limit in np.unique(exact.effective_sample_size)[::6] * (1 + nudge):
        brief = model.predict_briefly(columns, min_sample_size=limit)
        few = exact.effective_sample_size < limit
        assert ((brief.effective_sample_size < limit) == few).all()
        assert brief.effective_sample_size == pytest.approx(exact.effective_sample_size, rel=1e-3)
    assert brief.probability == pytest.approx(exact.probability, abs=1e-12)


def test_without_a_limit_no_sample_size_is_computed(spread_out):
    model, columns = spread_out
    brief = model.predict_briefly(columns)
    assert np.isnan(brief.effective_sample_size).all()
    assert brief.probability == pytest.approx(model.predict(columns).probability, abs=1e-12)


def test_brief_sample_size_follows_a_beta_calibration(spread_out):
    """It is not linear, so that no sum in single precision can stand in for it."""
    model, columns = spread_out
    terms = replace(model.equation.terms, calibration=np.array([[0.1, 0.9, 0.3]] * 40))
    bent = replace(model, equation=replace(model.equation, terms=terms))
    exact = bent.predict(columns).effective_sample_size
    brief = bent.predict_briefly(columns, min_sample_size=float(np.median(exact)))
    assert brief.effective_sample_size == pytest.approx(exact, rel=1e-9)


def test_single_precision_sums_keep_their_error_bound(spread_out):
    model, columns = spread_out
    plan = model.equation.plan
    rows = plan.read(columns)
    (exact,) = plan.sum_terms(rows, slice(1, None), columns.size)
    rough, error = plan.sum_roughly(rows)
    off = np.abs(rough - exact).max(axis=1)
    assert rough.dtype == np.float32
    assert (off > 0).any()
    assert (off <= error).all()
    assert error.max() < 1e-4


def test_absent_field_equals_missing_values(people):
    equation = make_model().equation
    blank = people.replace({"bipolar": np.full(3, np.nan)})
    absent = people.keep(["phq9", "site", "gad7"])
    many = np.arange(99) % 3
    for columns in (absent, absent.select(many)):
        log_odds = equation.compute_log_odds(columns)[:3]
        assert log_odds == pytest.approx(equation.compute_log_odds(blank), abs=1e-12)


def test_calibrated_factors_still_sum_to_the_log_odds(people):
    """Beta calibration is not linear; a patient at the reference is included."""
    bent = make_terms(calibration=[[-0.2, 0.9, 0.4], [0.0, 1.0, 1.0]])
    plain = make_model().equation.compute_log_odds(people)[:, 0]
    equation = make_model(bent).equation
    by_hand = -0.2 + 0.4 * np.log1p(np.exp(plain)) - 0.9 * np.log1p(np.exp(-plain))
    assert equation.compute_log_odds(people)[:, 0] == pytest.approx(by_hand, abs=1e-12)
    explained = equation.explain(people)
    total = explained.intercept + explained.contributions.sum(axis=1)
    assert total == pytest.approx(by_hand, abs=1e-9)


def test_a_calibration_that_reverses_the_order_is_refused():
    with pytest.raises(ArtifactError, match="order"):
        make_model(make_terms(calibration=[[0.0, -1.0, 1.0], [0.0, 1.0, 1.0]]))


def test_unknown_site_changes_only_the_draws(people):
    equation = make_model().equation
    known, unknown = equation.compute_log_odds(people, slice(None))[:2]
    assert known - unknown == pytest.approx([0.5 + 0.4 - 0.1 - 0.09, 0.7 + 0.4 + 0.3], abs=1e-9)


def test_interval_and_sample_size_follow_the_draws():
    log_odds = np.array([[0.0, -0.2, 0.0, 0.1, 0.3]])
    summary = summarise_versions(log_odds, level=0.8)
    others = 1 / (1 + np.exp(-log_odds[0, 1:]))
    assert summary.probability == pytest.approx([0.5])
    assert summary.low == pytest.approx([np.quantile(others, 0.1)])
    assert summary.high == pytest.approx([np.quantile(others, 0.9)])
    assert summary.effective_sample_size == pytest.approx([0.25 / others.var()])


def test_sample_size_of_a_base_rate_is_its_patients():
    """By Thomassen's definition it is n if the estimate is a proportion of n patients."""
    generator = np.random.default_rng(1)
    shares = generator.binomial(200, 0.4, size=20_000) / 200
    log_odds = np.log(np.append(0.4, shares) / (1 - np.append(0.4, shares)))
    size = summarise_versions(log_odds[None, :], 0.8).effective_sample_size
    assert size == pytest.approx([200], rel=0.03)


def test_one_patient_and_many_blocks_get_the_same(people):
    model = make_model()
    many = people.select(np.tile(np.arange(3), 6000))
    assert model.predict(many).probability[:3] == pytest.approx(model.predict(people).probability)
    assert len(model.predict(many).probability) == 18_000


def test_no_patients_get_no_estimates(people):
    assert len(make_model().predict(people.select(np.array([], dtype=int))).probability) == 0


@pytest.mark.parametrize("trees", [False, True])
def test_loaded_model_predicts_identically(people, tmp_path, trees):
    boosters = (grow_trees(7), grow_trees(5)) if trees else ()
    model = make_model(make_terms(trees=np.array([0.6, 0.5]) * trees), boosters)
    digest = model.save(tmp_path / "model")
    again = ResponseModel.load(tmp_path / "model", digest)
    assert again.digest == digest
    assert again.predict(people).log_odds.tobytes() == model.predict(people).log_odds.tobytes()
    assert again.predict(people).low.tobytes() == model.predict(people).low.tobytes()


@pytest.mark.parametrize("sites", [(), ("north",)])
@pytest.mark.parametrize("rows", [0, 1, 3, 300])
def test_base_rate_reads_no_field_and_is_constant(people, rows, sites):
    nothing = {
        **dict.fromkeys(("present", "missing", "products"), np.empty((2, 0))),
        **dict.fromkeys(("centre", "scale"), np.empty(0)),
        "pairs": np.empty((0, 2), dtype=np.int64),
        "sites": np.zeros((2, 2 if sites else 0)),
    }
    model = ResponseModel(make_card(()), Equation((), sites, make_terms(**nothing)))
    predictions, explained = model.predict_and_explain(people.select(np.arange(rows) % 3))
    assert predictions.log_odds.tolist() == explained.intercept.tolist() == [-1.0] * rows
    assert explained.contributions.tolist() == [[0.0] * len(sites)] * rows


def test_contributions_have_a_column_per_feature_and_the_bias():
    """Features after the last one that the trees were grown on contribute nothing."""
    matrix = np.ones((3, 4), dtype=np.float32)
    shares = predict_contributions(grow_trees(3), matrix)
    assert shares.shape == (3, 5)
    assert (shares[:, 2:4] == 0).all()


@pytest.mark.parametrize("rows", [0, 1, 3, 300])
def test_joined_trees_predict_identically(people, rows):
    boosters = (grow_trees(7), grow_trees(5))
    equation = make_model(make_terms(trees=np.array([0.6, 0.5])), boosters).equation
    selected = people.select(np.arange(rows) % 3)
    apart = equation.compute_log_odds(selected, ALL_VERSIONS)
    joined = equation.prepared
    assert apart.shape == (rows, 2)
    assert joined.compute_log_odds(selected, ALL_VERSIONS).tobytes() == apart.tobytes()
    assert joined.explain(selected).contributions.shape == (rows, 3)
    assert joined.select_version(1).compute_log_odds(selected) == pytest.approx(
        apart[:, 1:], abs=1e-9
    )


@pytest.mark.parametrize("name", ["card.json", "terms.npz", "trees-0001.ubj"])
def test_one_changed_byte_is_found(tmp_path, name):
    model = make_model(make_terms(trees=np.array([0.6, 0.5])), (grow_trees(7), grow_trees(5)))
    digest = model.save(tmp_path / "model")
    path = tmp_path / "model" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=name.split(".")[0]):
        ResponseModel.load(tmp_path / "model", digest)


@pytest.mark.parametrize("name", ["card.json", "terms.npz"])
def test_a_missing_file_is_found(tmp_path, name):
    digest = make_model().save(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(ArtifactError, match="missing"):
        ResponseModel.load(tmp_path / "model", digest)


def test_an_intact_other_model_is_rejected(tmp_path):
    make_model().save(tmp_path / "model")
    with pytest.raises(ArtifactError, match="does not match its registered digest"):
        ResponseModel.load(tmp_path / "model", "0" * 64)


def rewrite_card(folder, **changes):
    """Change the card as an attacker would, including the digests of files."""
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))


def test_a_card_cannot_name_files_elsewhere(tmp_path):
    make_model().save(tmp_path / "model")
    rewrite_card(tmp_path / "model", files={"../secret": "0" * 64})
    with pytest.raises(ArtifactError, match="outside its folder"):
        ResponseModel.load(tmp_path / "model")


def test_a_card_of_another_format_is_refused(tmp_path):
    make_model().save(tmp_path / "model")
    rewrite_card(tmp_path / "model", format=2)
    with pytest.raises(ArtifactError, match="format 1"):
        ResponseModel.load(tmp_path / "model")


def test_pickled_arrays_are_never_opened(tmp_path):
    import hashlib

    make_model().save(tmp_path / "model")
    buffer = io.BytesIO()
    np.savez(buffer, intercept=np.array([print], dtype=object), allow_pickle=True)
    (tmp_path / "model" / "terms.npz").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    rewrite_card(tmp_path / "model", files={"terms.npz": digest})
    with pytest.raises(ArtifactError, match="cannot be read"):
        ResponseModel.load(tmp_path / "model")


@pytest.mark.parametrize(
    "changes", [{"centre": [1.0]}, {"sites": [[0.5]]}, {"intercept": [np.nan, 0.0]}]
)
def test_terms_that_do_not_belong_together_are_refused(changes):
    with pytest.raises(ArtifactError, match="must hold finite numbers"):
        make_model(make_terms(**changes))


def test_probabilities_stay_within_bounds():
    extremes = compute_probability(np.array([-1e4, 0.0, 1e4]))
    assert extremes.tolist() == [0.0, 0.5, 1.0]
