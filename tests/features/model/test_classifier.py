"""Exported classifiers: the file's own probabilities, within bounds, in any thread or process."""

import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from copy import deepcopy
from multiprocessing import get_context

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from features.base.errors import ArtifactError, UnavailableError
from features.model.classifier import (
    PROBABILITY_LIMIT,
    ExportedClassifier,
    bound_log_odds,
)
from training.candidates.export import export_classifier

MATRIX = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def tree():
    """A tree that is sure of most rows, its probabilities being 0 or 1."""
    return DecisionTreeClassifier(max_depth=4, random_state=1).fit(MATRIX, MATRIX[:, 1] > 0.3)


@pytest.fixture
def exported(tree):
    return export_classifier(tree, MATRIX)


def test_certainty_is_bounded_and_the_rest_is_exact(tree, exported):
    probability = tree.predict_proba(MATRIX)[:, 1]
    assert {0.0, 1.0} <= set(probability)
    assert exported.predict_probability(MATRIX) == pytest.approx(probability, abs=1e-7)
    margins = exported.predict_margin(MATRIX)
    limit = np.log((1 - PROBABILITY_LIMIT) / PROBABILITY_LIMIT)
    assert (min(margins), max(margins)) == pytest.approx((-limit, limit))
    assert margins[probability == 0] == pytest.approx(-limit)
    inside = (probability > 0) & (probability < 1)
    odds = probability[inside] / (1 - probability[inside])
    assert margins[inside] == pytest.approx(np.log(odds), abs=1e-5)


def test_bound_keeps_the_order():
    probability = np.linspace(0, 1, 2001)
    log_odds = bound_log_odds(probability)
    assert np.isfinite(log_odds).all()
    assert (np.diff(log_odds) >= 0).all()
    assert log_odds == pytest.approx(-log_odds[::-1])


def test_no_rows_give_no_probabilities(exported):
    assert exported.predict_margin(MATRIX[:0]).shape == (0,)


def test_threads_share_a_session_and_processes_do_not(exported):
    alone = exported.predict_margin(MATRIX)
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(exported.predict_margin, [MATRIX] * 200)
    assert all(np.array_equal(alone, margins) for margins in together)
    assert vars(deepcopy(exported)) == {"content": exported.content}
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        elsewhere = pool.submit(exported.predict_margin, MATRIX).result()
    assert np.array_equal(elsewhere, alone)


def test_session_has_one_thread(exported):
    options = exported.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert exported.session.get_providers() == ["CPUExecutionProvider"]
    assert exported.session is exported.session


def test_anything_else_is_refused():
    with pytest.raises(ArtifactError, match="cannot be read"):
        _ = ExportedClassifier(b"no graph").session
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 3]) for n in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(ArtifactError, match="must turn matrix into probabilities"):
        _ = ExportedClassifier(model.SerializeToString()).session


def test_missing_onnxruntime_is_said_in_one_sentence(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnavailableError, match="needs onnxruntime: `python -m pip install"):
        _ = ExportedClassifier(exported.content).session
